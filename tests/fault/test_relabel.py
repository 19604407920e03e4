"""A relabel job outlives its own process and the inference worker: every text predicted once, one ranking."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.relabel_in_small_chunks import HOLD_AT
from tests.fault.world import World

pytestmark = pytest.mark.fault


@pytest.fixture
def job_id(world: World, adapter: str, tmp_path: Path) -> str:
    """A relabel job that has stored a part of the corpus and holds."""
    world.start("inference")
    job_id = world.queue("relabel", "letters", {"adapter": adapter, "gate": str(tmp_path / "gate")})
    world.event(job_id, "holding")
    (run,) = world.rows("SELECT watermark FROM relabel_runs WHERE job_id = %s", job_id)
    assert run["watermark"] == HOLD_AT
    return job_id


def assert_one_result(world: World, job_id: str) -> None:
    job = world.ended(job_id, 120)
    assert job["state"] == "succeeded", job["error"]
    (run,) = world.rows("SELECT * FROM relabel_runs WHERE job_id = %s", job_id)
    assert run["watermark"] == run["text_count"] == 40
    count = (
        "SELECT count(*) AS rows, count(DISTINCT text_version_id) AS texts FROM predictions WHERE run_id = %s"
    )
    (predicted,) = world.rows(count, run["id"])
    assert (predicted["rows"], predicted["texts"]) == (40, 40)
    assert len(world.rows("SELECT id FROM rankings WHERE run_id = %s", run["id"])) == 1
    kinds = [event["kind"] for event in world.events(job_id)]
    assert (kinds.count("holding"), kinds.count("succeeded")) == (1, 1)


def test_a_killed_inference_worker_is_waited_for(world: World, job_id: str, tmp_path: Path) -> None:
    world.kill("inference")
    (tmp_path / "gate").touch()
    world.start("inference")
    assert_one_result(world, job_id)
    assert world.job(job_id)["attempts"] == 1


def test_a_killed_relabel_process_is_taken_up_at_its_watermark(
    world: World, job_id: str, tmp_path: Path
) -> None:
    world.child("tests.fault.relabel_in_small_chunks", job_id).kill()
    world.event(job_id, "requeued")
    (tmp_path / "gate").touch()
    assert_one_result(world, job_id)
    assert world.job(job_id)["attempts"] == 2
