"""A dry run's estimate: measured once by a job where trainers run, used again, kept with the job beside what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from app.db.session import reading, writing
from app.db.tables import Job, Measurement
from app.settings import get_settings
from tests.attempts import exit_of_attempt
from tests.integration.review_corpus import Built
from workers import measure, train
from workers.job_context import EXIT_DONE


def dry_run(client: TestClient, allowed: Path, **fields: Any) -> Any:
    body = {"corpus": "letters", "base_model": str(allowed), "folds": 2} | fields
    answer = client.post("/train-jobs?dry_run=true", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def jobs(engine: Engine) -> list[Job]:
    with reading(engine) as session:
        return list(session.scalars(select(Job).order_by(Job.created_at)))


def test_an_estimate_is_measured_once_and_kept_with_the_job(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    first = dry_run(client, allowed)
    assert first.json()["estimate"] is None
    assert int(first.headers["Retry-After"]) > 0
    measuring = first.json()["measuring"]
    assert dry_run(client, allowed).json()["measuring"] == measuring  # two dry runs, one measurement
    (job,) = jobs(engine)
    assert (job.id, job.kind, job.state) == (measuring, "measure", "queued")
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    assert client.get(f"/jobs/{measuring}").json()["state"] == "succeeded"

    second = dry_run(client, allowed).json()
    assert second["measuring"] is None
    estimate = second["estimate"]
    low, high = estimate["range_seconds"]
    assert 0 < low < estimate["seconds"] < high
    assert (estimate["folds"], estimate["epochs"], estimate["epochs_in_time_budget"]) == (2, 3, None)
    assert estimate["tokens_read"] > 3 * estimate["tokens"] > 0
    assert estimate["measured"]["job_id"] == measuring
    short = dry_run(client, allowed, time_budget_seconds=0.001).json()["estimate"]
    assert (short["epochs"], short["epochs_in_time_budget"]) == (1, 1)
    assert dry_run(client, allowed, limit=20).json()["estimate"]["tokens"] < estimate["tokens"]
    assert len(jobs(engine)) == 1

    made = client.post(
        "/train-jobs", json={"corpus": "letters", "base_model": str(allowed), "folds": 2, "epochs": 1}
    )
    assert exit_of_attempt(made.json()["id"], train.run) == EXIT_DONE
    job = client.get(made.headers["Location"]).json()
    duration = job["result"]["duration"]
    assert duration["estimated_seconds"] == job["params"]["estimate"]["seconds"] < estimate["seconds"]
    assert duration["job_seconds"] > duration["seconds"] > 0
    assert duration["peak_memory_bytes"] > 0


def test_another_request_or_an_old_measurement_is_measured_anew(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    measuring = dry_run(client, allowed).json()["measuring"]
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    assert dry_run(client, allowed, max_tokens=16).json()["measuring"] not in {None, measuring}
    with writing(engine) as session:
        row = session.scalars(select(Measurement)).one()
        assert row.tokens_per_second > 0
        row.versions = row.versions | {"torch": "0.1"}
    assert dry_run(client, allowed).json()["estimate"] is None


def test_a_measurement_of_a_model_that_is_gone_says_so(
    client: TestClient,
    corpus: Built,
    allowed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measuring = dry_run(client, allowed).json()["measuring"]
    monkeypatch.setenv("REMAND_MODEL_DIRS", str(tmp_path))
    get_settings.cache_clear()
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    job = client.get(f"/jobs/{measuring}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "base-model-unavailable")
