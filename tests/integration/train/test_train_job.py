"""A train job through the real trainer: labels in, a registered adapter out; resumed where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import reading, writing
from app.jobs import leases
from app.jobs.queries import events_after
from tests.attempts import exit_of_attempt
from tests.integration.review_corpus import Built
from workers.job_context import EXIT_DONE, EXIT_STOPPED
from workers.stopping import StopFlag

REQUEST = {"corpus": "letters", "folds": 2, "epochs": 1, "seed": 3}


def post(client: TestClient, allowed: Path, **fields: Any) -> str:
    answer = client.post("/train-jobs", json=REQUEST | {"base_model": str(allowed)} | fields)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/train-jobs/{answer.json()['id']}"
    return str(answer.json()["id"])


def attempt(job_id: str, flag: StopFlag | None = None) -> int:
    """One attempt of a train job; its exit status."""
    from workers.train import run

    return exit_of_attempt(job_id, run, flag)


def kinds(engine: Engine, job_id: str) -> list[str]:
    with reading(engine) as session:
        return [event.kind for event in events_after(session, job_id, 0)]


def test_a_job_ends_with_a_registered_adapter(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    job_id = post(client, allowed, name="first")
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    adapter = client.get(f"/adapters/{job['result']['adapter_id']}").json()
    assert (adapter["name"], adapter["option_keys"], adapter["job_id"]) == (
        "first",
        ["remorse", "dependants"],
        job_id,
    )
    assert adapter["manifest"]["members"] == ["final", "fold0", "fold1"]
    report = client.get(f"/adapters/{adapter['id']}/report").json()
    assert set(report["macro"]) >= {"model", "tfidf", "probe", "untrained"}
    assert adapter["macro_f1"] == report["macro"]["model"]["f1"] == job["result"]["macro_f1"]
    assert adapter["promoted"] == job["result"]["promoted"] == report["verdict"]["beats_baselines"]
    told = kinds(engine, job_id)
    assert {"snapshot", "estimate", "fold_started", "epoch", "checkpoint", "report", "trained"} <= set(told)
    assert told[-1] == "succeeded"


def test_a_stopped_job_goes_on_from_its_checkpoint(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    job_id = post(client, allowed, options=["dependants"])

    class AfterFirstFold(StopFlag):
        def reason(self) -> Any:
            return "shutdown" if "fold_finished" in kinds(engine, job_id) else None

    assert attempt(job_id, AfterFirstFold()) == EXIT_STOPPED
    with writing(engine) as session:
        leases.release(session, job_id, 1, code="shutdown", reason="asked", counted=False, max_attempts=3)
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    adapter = client.get(f"/adapters/{job['result']['adapter_id']}").json()
    assert adapter["option_keys"] == ["dependants"]
    told = kinds(engine, job_id)
    assert (told.count("fold_started"), told.count("snapshot")) == (2, 1)


@pytest.mark.parametrize(
    ("fields", "field", "slug"),
    [
        ({"corpus": "nowhere"}, "/corpus", "not-found"),
        ({"base_model": "gpt-9"}, "/base_model", "base-model-unavailable"),
        ({"base_model": "llama-2-7b"}, "/base_model", "base-model-unavailable"),
        ({"base_model": "/etc"}, "/base_model", "base-model-unavailable"),
        ({"base_model": "~nobody-there/x"}, "/base_model", "base-model-unavailable"),
        ({"folds": 20, "corpus": "few"}, "/folds", "too-few-groups"),
        ({"options": ["remorse", "greed"]}, "/options/1", "unknown-option"),
        ({"options": ["remorse"], "corpus": "few"}, "/options", "no-positives"),
        ({"sample": "smp_none"}, "/sample", "unknown-sample"),
        ({"splits": ["test"]}, "/splits", "unknown-split"),
        ({"folds": 1}, None, "invalid"),
        ({"epoch": 3}, "/epoch", "invalid"),
    ],
)
def test_wrong_requests_are_problems_and_leave_no_job(
    client: TestClient,
    engine: Engine,
    corpus: Built,
    allowed: Path,
    fields: dict[str, Any],
    field: str | None,
    slug: str,
) -> None:
    from tests.integration.review_corpus import add_text, annotate, build_corpus
    from tests.small_corpus import TWO_ARGUMENTS

    with writing(engine) as session:
        few = build_corpus(session, "few", TWO_ARGUMENTS)
        add_text(session, few, "a", "nothing", groups={"case": "1"})
        add_text(session, few, "b", "a mother", groups={"case": "2"})
        annotate(session, few, "a", "ann", "arguments", [0, 0])
        annotate(session, few, "b", "ann", "arguments", [0, 1])
    answer = client.post(
        "/train-jobs", json={"corpus": "letters", "folds": 2, "base_model": str(allowed)} | fields
    )
    problem = answer.json()
    assert answer.status_code == (404 if slug == "not-found" else 422), problem
    assert problem["type"] == f"urn:remand:problem:{slug}"
    assert field is None or problem["field"] == field
    assert client.get("/train-jobs").json()["items"] == []


def test_a_dry_run_counts_and_stores_nothing(client: TestClient, corpus: Built, allowed: Path) -> None:
    body = {"corpus": "letters", "base_model": str(allowed), "limit": 40}
    answer = client.post("/train-jobs?dry_run=true", json=body, headers={"Idempotency-Key": "k"})
    preview = answer.json()
    assert (answer.status_code, preview["rows"], preview["texts"], preview["groups"]) == (200, 40, 60, 30)
    assert [option["yes"] + option["no"] for option in preview["options"]] == [40, 40]
    made = client.post("/train-jobs", json=body, headers={"Idempotency-Key": "k"})
    assert made.status_code == 202
    assert client.post("/train-jobs", json=body, headers={"Idempotency-Key": "k"}).json() == json.loads(
        made.text
    )
