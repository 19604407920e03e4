"""A search through the API and the real trainer: trials, the choice by inner splits, and the adapter that follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs import leases
from app.jobs.queries import events_after
from models.encoder.load import DeviceUnavailableError, Encoder
from models.training.base import load_base
from models.training.errors import TrainingRefusedError
from models.training.request import TrainRequest
from tests.integration.review_corpus import Built

REQUEST = {"corpus": "letters", "folds": 2, "epochs": 2, "wide": False, "batch_tokens": 256, "seed": 3}
RANDOM = {
    "strategy": "random",
    "trials": 3,
    "space": {
        "learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "lora_rank": {"type": "choice", "values": [2, 4, 8]},
    },
}
Worker = Callable[..., Job]


def post(client: TestClient, allowed: Path, search: dict[str, Any], **fields: Any) -> str:
    """The id of a new search."""
    answer = client.post(
        "/train-jobs", json=REQUEST | {"base_model": str(allowed), "search": search} | fields
    )
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert (job["kind"], answer.headers["Location"]) == ("search", f"/searches/{job['id']}")
    return str(job["id"])


def trials_of(client: TestClient, search_id: str) -> list[dict[str, Any]]:
    """All trials, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = client.get(
            f"/searches/{search_id}/trials", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_a_search_ends_with_an_adapter_whose_report_shows_it(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path, worker: Worker
) -> None:
    search_id = post(client, allowed, RANDOM, name="searched")
    job = worker(search_id)
    assert job.state == "succeeded", job.error
    trials = trials_of(client, search_id)
    assert [trial["number"] for trial in trials] == [0, 1, 2]
    for trial in trials:
        assert trial["state"] in {"complete", "pruned"}
        assert trial["parameters"].keys() == {"learning_rate", "lora_rank"}
        assert [member["member"] for member in trial["members"]] == ["fold0", "fold1"]
        assert trial["mean"] == pytest.approx(sum(member["score"] for member in trial["members"]) / 2)
    result = client.get(f"/searches/{search_id}").json()["result"]
    for fold in range(2):  # each fold took what was best on its own inner split
        scores = [trial["members"][fold]["score"] for trial in trials]
        chosen = result["chosen"][f"fold{fold}"]
        assert chosen["score"] == max(scores)
        assert chosen["parameters"] == trials[chosen["trial"]]["parameters"]
        assert f"fold{fold}" in trials[chosen["trial"]]["chosen_for"]
    assert result["chosen"]["final"]["score"] == max(trial["mean"] for trial in trials)
    refit = client.get(f"/train-jobs/{result['job_id']}").json()
    assert refit["params"]["learning_rate"] == result["chosen"]["final"]["parameters"]["learning_rate"]
    adapter = client.get(f"/adapters/{result['adapter_id']}").json()
    assert (adapter["name"], adapter["job_id"]) == ("searched", result["job_id"])
    report = client.get(f"/adapters/{adapter['id']}/report").json()
    assert [trial["number"] for trial in report["search"]["trials"]] == [0, 1, 2]
    assert report["search"]["nested"] is True
    carried = report["search"]["average_precision"]
    for fold in range(2):  # the train job's own inner fit came to what the trial had come to
        assert carried["folds"][fold]["inner"] == pytest.approx(result["chosen"][f"fold{fold}"]["score"])
    assert carried["gap"] == pytest.approx(carried["inner"] - carried["held_out"])
    with reading(engine) as session:
        told = [event.kind for event in events_after(session, search_id, 0)]
    assert (told.count("trial_ended"), told.count("chosen"), told[-1]) == (3, 1, "succeeded")
    assert client.get(f"/train-jobs/{search_id}").status_code == 404  # a search is where its Location said


def test_the_same_seed_makes_the_same_trials(
    client: TestClient, corpus: Built, allowed: Path, worker: Worker
) -> None:
    bayesian = RANDOM | {"strategy": "bayesian", "trials": 3, "nested": False, "folds": 1}
    made = []
    for _ in range(2):
        search_id = post(client, allowed, bayesian, epochs=1)
        worker(search_id, refit=False)
        made.append([(trial["parameters"], trial["mean"]) for trial in trials_of(client, search_id)])
    assert made[0] == made[1]


RANKS = {"strategy": "grid", "space": {"lora_rank": {"type": "choice", "values": [2, 4]}}}


def refuse(monkeypatch: pytest.MonkeyPatch, *ranks: int) -> None:
    """A machine that cannot train these ranks."""

    def load(request: TrainRequest) -> Encoder:
        if request.lora_rank in ranks:
            raise TrainingRefusedError(
                "device-unavailable", "lora_rank", f"no room for rank {request.lora_rank}"
            )
        return load_base(request)

    monkeypatch.setattr("models.training.trial.load_base", load)


def test_a_trial_that_cannot_be_does_not_end_the_search(
    client: TestClient, corpus: Built, allowed: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 4)
    search_id = post(client, allowed, RANKS, epochs=1)
    worker(search_id, refit=False)
    good, bad = trials_of(client, search_id)
    assert (good["state"], bad["state"]) == ("complete", "failed")
    assert bad["error"]["detail"] == "no room for rank 4"
    assert good["chosen_for"] == ["fold0", "fold1", "final"]


def test_where_no_trial_succeeds_the_search_says_why(
    client: TestClient, corpus: Built, allowed: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, 2, 4)
    job = worker(post(client, allowed, RANKS))
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "no-trial-succeeded"
    assert "no room for rank 2" in job.error["detail"]


def test_a_search_for_a_gpu_that_is_not_there_ends_after_a_few_trials(
    client: TestClient, corpus: Built, allowed: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_asked: Any, **_more: Any) -> Encoder:
        raise DeviceUnavailableError("no GPU here")

    monkeypatch.setattr("models.training.base.load_encoder", load)
    search_id = post(client, allowed, RANDOM | {"trials": 50})
    job = worker(search_id)
    assert job.error is not None
    assert (job.state, job.error["code"]) == ("failed", "no-trial-succeeded")
    assert (job.error["cause"], job.error["field"]) == ("device-unavailable", "device")
    assert 3 <= len(trials_of(client, search_id)) <= 4
    assert client.get("/adapters").json()["items"] == []
    assert client.get("/train-jobs").json()["items"] == []


def test_what_a_search_made_is_cancelled_with_it(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path, worker: Worker
) -> None:
    search_id = post(client, allowed, RANDOM | {"trials": 1}, epochs=1)
    worker(search_id, refit=False)  # as the worker leaves it: asked to stop, not yet settled
    assert [job["state"] for job in client.get("/train-jobs").json()["items"]] == ["queued"]
    client.post(f"/searches/{search_id}/cancel")
    with writing(engine) as session:
        state = leases.release(
            session, search_id, 1, code="cancel", reason="asked", counted=False, max_attempts=3
        )
    assert state == "cancelled"
    assert [job["state"] for job in client.get("/train-jobs").json()["items"]] == ["cancelled"]
    assert [trial["state"] for trial in trials_of(client, search_id)] == ["complete"]  # what is over stays


def test_deleting_the_corpus_removes_jobs_and_studies(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path, worker: Worker, database: str
) -> None:
    worker(post(client, allowed, RANDOM | {"trials": 1}, epochs=1), refit=False)
    with psycopg.connect(database) as connection:
        counts = "SELECT (SELECT count(*) FROM optuna.studies), (SELECT count(*) FROM job_parts)"
        assert connection.execute(counts).fetchone() == (2, 2)
    assert client.delete(f"/corpora/{corpus.corpus_id}").status_code == 204
    with psycopg.connect(database) as connection:
        assert connection.execute(counts).fetchone() == (0, 0)
        assert connection.execute("SELECT count(*) FROM optuna.trial_params").fetchone() == (0,)


SPACE = RANDOM["space"]


@pytest.mark.parametrize(
    ("search", "field", "slug"),
    [
        ({"space": {}}, "/search/space", "invalid"),
        ({"space": SPACE, "trials": 0}, "/search/trials", "invalid"),
        ({"space": SPACE, "trials": 10**6}, "/search/trials", "invalid"),
        ({"space": {"lora_ranks": {"type": "int", "low": 1, "high": 2}}}, "/search/space/lora_ranks", "not-searchable"),
        ({"space": {"corpus": {"type": "choice", "values": ["a"]}}}, "/search/space/corpus", "not-searchable"),
        ({"space": {"lora_rank": {"type": "int", "low": 0, "high": 2}}}, "/search/space/lora_rank/low", "invalid"),
        ({"space": {"dropout": {"type": "float", "low": 0, "high": 1}}}, "/search/space/dropout/high", "invalid"),
        ({"space": {"loss": {"type": "choice", "values": [{"kind": "bce"}, {"kind": "x"}]}}}, "/search/space/loss/values/1", "invalid"),
        ({"space": SPACE, "strategy": "grid"}, "/search/space/learning_rate/steps", "grid-without-steps"),
        ({"space": {"lora_rank": {"type": "int", "low": 1, "high": 9}}, "strategy": "grid", "trials": 4}, "/search/trials", "grid-too-large"),
        ({"space": {"max_tokens": {"type": "choice", "values": [32, 64]}}}, "/search/space/max_tokens", "not-nested"),
        ({"space": {"base_model": {"type": "choice", "values": ["gpt-9"]}}, "nested": False}, "/search/space/base_model/values/0", "base-model-unavailable"),
        ({"space": {"target_modules": {"type": "choice", "values": ["auto", ["no_such"]]}}}, "/search/space/target_modules/values/1", "unknown-target-module"),
        ({"space": SPACE, "folds": 1}, "/search", "invalid"),
        ({"space": {"lora_rank": {"type": "int", "low": 4, "high": 2}}}, None, "invalid"),
    ],
)  # fmt: skip
def test_wrong_searches_are_problems_and_leave_no_job(
    client: TestClient, corpus: Built, allowed: Path, search: dict[str, Any], field: str | None, slug: str
) -> None:
    answer = client.post("/train-jobs", json=REQUEST | {"base_model": str(allowed), "search": search})
    problem = answer.json()
    assert answer.status_code == 422, problem
    assert problem["type"] == f"urn:remand:problem:{slug}", problem
    assert field is None or problem["field"] == field, problem
    assert client.get("/jobs").json()["items"] == []
    assert json.dumps(problem)
