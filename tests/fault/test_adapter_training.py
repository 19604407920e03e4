"""A trainer that is killed in the middle of a fold: its job ends with exactly one adapter, trained from the last complete checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.training.schemas import TrainJobRequest
from tests.fault.world import World, until

pytestmark = pytest.mark.fault


def test_a_killed_trainer_goes_on_from_its_last_checkpoint(world: World, model: str) -> None:
    request = TrainJobRequest.model_validate(
        {"corpus": "letters", "base_model": model, "folds": 2, "epochs": 1}
    )
    job_id = world.queue("train", "letters", request.model_dump(mode="json"))
    world.event(job_id, "fold_finished")
    world.child("workers.train", job_id).kill()
    world.event(job_id, "requeued")
    job = world.ended(job_id, 120)
    assert job["state"] == "succeeded", job["error"]
    adapters = world.rows("SELECT id, manifest FROM adapters WHERE job_id = %s", job_id)
    assert [row["id"] for row in adapters] == [job["result"]["adapter_id"]]
    assert adapters[0]["manifest"]["members"] == ["final", "fold0", "fold1"]
    events = world.events(job_id)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert (kinds.count("snapshot"), kinds.count("trained"), kinds.count("succeeded")) == (1, 1, 1)
    first = [event["data"]["fold"] for event in events if event["kind"] == "fold_started"]
    assert first.count(0) == 1, "the finished fold was trained again"
    folder = world.folder.parent / "work" / job_id
    until("the checkpoints are removed", lambda: not folder.exists())


def test_two_trainers_never_share_a_device(world: World, tmp_path: Path) -> None:
    first = world.probe("drill", steps=2, hold_at=1, gate=str(tmp_path / "gate"))
    world.event(first, "holding")
    second = world.probe("drill", steps=2)
    bystander = world.probe(steps=2)
    assert world.ended(bystander)["state"] == "succeeded"
    assert world.job(second)["state"] == "queued"
    (tmp_path / "gate").touch()
    jobs = [world.ended(job_id) for job_id in (first, second)]
    assert [job["state"] for job in jobs] == ["succeeded", "succeeded"]
    assert jobs[0]["finished_at"] <= jobs[1]["started_at"]
