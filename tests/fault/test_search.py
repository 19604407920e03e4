"""A search whose parent and one of whose trials are killed: every trial ends once, one train job follows; cancelled, it takes that along."""

from __future__ import annotations

from typing import Any

import pytest

from app.db.session import engine_for, writing
from app.jobs.queries import request_cancel
from app.training.schemas import TrainJobRequest
from app.training.search_queries import study_name
from tests.fault.world import World, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def test_a_search_survives_the_death_of_its_parent_and_of_a_trial(world: World, model: str) -> None:
    grid = {"strategy": "grid", "prune": False, "space": {"lora_rank": {"type": "choice", "values": [2, 4]}}}
    request = TrainJobRequest.model_validate(
        {"corpus": "letters", "base_model": model, "folds": 2, "epochs": 2, "wide": False, "search": grid}
    )
    search_id = world.queue("search", "letters", request.model_dump(mode="json"))
    (first,) = until("the first trial", lambda: parts(world, search_id, "trial"), 120)
    world.event(first["job_id"], "started")
    world.child("workers.search.trial", first["job_id"]).kill()
    world.child("workers.search", search_id).kill()
    world.event(search_id, "requeued")
    world.event(first["job_id"], "requeued")
    until("the choice", lambda: [e for e in world.events(search_id) if e["kind"] == "chosen"], 240)

    trials = parts(world, search_id, "trial")
    assert [part["number"] for part in trials] == [0, 1]
    for part in trials:
        kinds = [event["kind"] for event in world.events(part["job_id"])]
        assert kinds.count("succeeded") == 1
    told = world.events(search_id)
    assert [event["number"] for event in told] == list(range(1, len(told) + 1))
    ended = [event["data"]["trial"] for event in told if event["kind"] == "trial_ended"]
    assert sorted(ended) == [0, 1]
    (refit,) = parts(world, search_id, "refit")
    for fold in range(2):
        study = world.rows(
            "SELECT t.number, t.state FROM optuna.trials t JOIN optuna.studies s USING (study_id) WHERE s.study_name = %s ORDER BY 1",
            study_name(search_id, f"fold{fold}"),
        )
        assert study == [{"number": 0, "state": "COMPLETE"}, {"number": 1, "state": "COMPLETE"}]

    with writing(engine_for(world.database_url)) as session:
        request_cancel(session, search_id)
    assert world.ended(search_id)["state"] == "cancelled"
    assert world.ended(refit["job_id"])["state"] == "cancelled"
    assert [world.job(part["job_id"])["state"] for part in trials] == ["succeeded", "succeeded"]
    folder = world.folder.parent / "work" / search_id
    until("what the trials shared is removed", lambda: not folder.exists(), 60)


def parts(world: World, search_id: str, role: str) -> list[dict[str, Any]]:
    """Jobs that a search made."""
    return world.rows(
        "SELECT number, job_id FROM job_parts WHERE parent_id = %s AND role = %s ORDER BY number",
        search_id,
        role,
    )
