"""A summary job outlives its own process and the inference worker: every text summarized once, by one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.summarize_in_small_chunks import HOLD_AT
from tests.fault.world import World
from tests.tiny_writer import make_writer

pytestmark = pytest.mark.fault


@pytest.fixture(scope="session")
def writer(shared_world: World) -> str:
    """A tiny T5."""
    return str(make_writer(Path(shared_world.environment["REMAND_MODEL_DIRS"]) / "t5", "t5"))


@pytest.fixture
def job_id(world: World, writer: str, tmp_path: Path) -> str:
    """A summary job that has stored a part of the corpus and holds."""
    world.start("inference")
    params = {
        "method": "abstractive", "base_model": writer, "max_tokens": 16, "window": 1024, "decoding": {"beams": 1, "seed": 0},
        "embedder": "minilm", "gate": str(tmp_path / "gate"),
    }  # fmt: skip
    job_id = world.queue("summary", "letters", params)
    world.event(job_id, "holding")
    (run,) = world.rows("SELECT watermark FROM summary_runs WHERE job_id = %s", job_id)
    assert run["watermark"] == HOLD_AT
    return job_id


def assert_one_run(world: World, job_id: str) -> None:
    job = world.ended(job_id, 120)
    assert job["state"] == "succeeded", job["error"]
    (run,) = world.rows("SELECT * FROM summary_runs WHERE job_id = %s", job_id)
    assert run["watermark"] == run["text_count"] == 40
    assert run["model"]["family"] == "t5"
    (found,) = world.rows(
        "SELECT count(*) AS rows, count(DISTINCT text_version_id) AS texts, count(text) AS written FROM summaries WHERE run_id = %s",
        run["id"],
    )
    assert (found["rows"], found["texts"]) == (40, 40)
    assert found["written"] == 40 - run["without"]
    kinds = [event["kind"] for event in world.events(job_id)]
    assert (kinds.count("holding"), kinds.count("frozen"), kinds.count("succeeded")) == (1, 1, 1)


def test_a_killed_inference_worker_is_waited_for(world: World, job_id: str, tmp_path: Path) -> None:
    world.kill("inference")
    (tmp_path / "gate").touch()
    world.start("inference")
    assert_one_run(world, job_id)
    assert world.job(job_id)["attempts"] == 1


def test_a_killed_child_is_taken_up_at_its_watermark(world: World, job_id: str, tmp_path: Path) -> None:
    world.child("tests.fault.summarize_in_small_chunks", job_id).kill()
    world.event(job_id, "requeued")
    (tmp_path / "gate").touch()
    assert_one_run(world, job_id)
    assert world.job(job_id)["attempts"] == 2
