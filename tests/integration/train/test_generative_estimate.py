"""A dry run of causal and summarize: a few steps measured by a job, then the arithmetic, kept with the job beside what it took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from app.db.session import reading
from app.db.tables import Job, Measurement
from tests.attempts import exit_of_attempt
from tests.document_sets import read, upload
from tests.tiny_decoder import judgments
from workers import measure, train
from workers.job_context import EXIT_DONE


@pytest.fixture
def client(judgments_client: TestClient) -> TestClient:
    """The app with an empty corpus named judgments."""
    return judgments_client


def dry_run(client: TestClient, body: dict[str, Any]) -> Any:
    answer = client.post("/train-jobs?dry_run=true", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def documents(client: TestClient, count: int = 24) -> str:
    files = {f"{number}.txt": text.encode() for number, text in enumerate(judgments(count))}
    made = upload(client, files)
    assert read(client, made)["documents"] == count
    return str(made["id"])


def pairs(client: TestClient, count: int = 24) -> str:
    rows = [
        {"text": text, "summary": " ".join(text.split()[:5])} for text in judgments(count, words=(10, 30))
    ]
    made = upload(client, {"pairs.jsonl": "\n".join(map(json.dumps, rows)).encode()})
    assert read(client, made)["rows"] == count
    return str(made["id"])


@pytest.mark.parametrize("family", ["llama", "gptj"])
def test_a_causal_estimate_is_measured_once_and_kept_with_the_job(
    client: TestClient, engine: Engine, models: Path, family: str
) -> None:
    causal = {"document_set": documents(client), "block_tokens": 32, "held_out_share": 0.25}
    body = {
        "corpus": "judgments", "task": "causal", "base_model": str(models / family), "epochs": 2, "causal": causal,
    }  # fmt: skip
    first = dry_run(client, body)
    assert (first.json()["documents"], first.json()["estimate"]) == (24, None)
    assert int(first.headers["Retry-After"]) > 0
    measuring = first.json()["measuring"]
    assert dry_run(client, body).json()["measuring"] == measuring  # two dry runs, one measurement
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    assert client.get(f"/jobs/{measuring}").json()["state"] == "succeeded"

    answer = dry_run(client, body)
    assert "Retry-After" not in answer.headers
    estimate = answer.json()["estimate"]
    low, high = estimate["range_seconds"]
    # patience is two epochs, and two are asked for: nothing can end earlier
    assert 0 < low < estimate["seconds_if_start_kept"] == estimate["seconds"] < high
    assert (
        estimate["train_documents"] + estimate["stopping_documents"],
        estimate["held_out_documents"],
    ) == (18, 6)
    assert estimate["stopping_documents"] == 2
    assert (estimate["documents"], estimate["epochs"], estimate["epochs_in_time_budget"]) == (24, 2, None)
    assert estimate["seconds_per_summary"] is None
    # the tiny tokenizer takes a word for a token; every document has an end mark, a Llama's a begin mark, too
    words = sum(len(text.split()) for text in judgments(24))
    assert estimate["tokens"] == pytest.approx(words + 24 * (2 if family == "llama" else 1), rel=0.1)
    longer = dry_run(client, body | {"epochs": 5}).json()["estimate"]
    assert longer["seconds"] > longer["seconds_if_start_kept"] >= estimate["seconds_if_start_kept"]
    short = dry_run(client, body | {"epochs": 5, "time_budget_seconds": 0.001}).json()["estimate"]
    assert (short["steps"], short["epochs_in_time_budget"]) == (1, short["epochs"])
    limited = dry_run(client, body | {"causal": causal | {"document_limit": 6}}).json()["estimate"]
    assert (limited["documents"], limited["stopping_documents"]) == (6, 0)
    assert limited["tokens"] < estimate["tokens"] / 2
    with reading(engine) as session:
        assert [job.kind for job in session.scalars(select(Job).where(Job.kind == "measure"))] == ["measure"]

    made = client.post("/train-jobs", json=body)
    assert exit_of_attempt(made.json()["id"], train.run) == EXIT_DONE
    job = client.get(made.headers["Location"]).json()
    assert job["state"] == "succeeded", job
    duration = job["result"]["duration"]
    assert duration["estimated_seconds"] == job["params"]["estimate"]["seconds"] == estimate["seconds"]
    assert duration["estimated_seconds_if_start_kept"] == estimate["seconds_if_start_kept"]
    assert min(duration["seconds"], duration["planned_seconds"], duration["peak_memory_bytes"]) > 0
    assert duration["job_seconds"] > duration["seconds"]
    report = client.get(f"/adapters/{job['result']['adapter_id']}/report").json()
    assert report["documents"]["held_out_documents"] == 6
    assert report["plan"]["train_tokens"] == pytest.approx(estimate["tokens_read"] / 2, rel=0.25)


def test_a_summarize_estimate_counts_the_summaries_to_be_written(
    client: TestClient, engine: Engine, models: Path
) -> None:
    own = {"document_set": pairs(client), "max_input_tokens": 16, "max_target_tokens": 8}
    body = {
        "corpus": "judgments", "task": "summarize", "base_model": str(models / "t5"), "summarize": own,
    }  # fmt: skip
    assert exit_of_attempt(dry_run(client, body).json()["measuring"], measure.run) == EXIT_DONE
    estimate = dry_run(client, body).json()["estimate"]
    assert (estimate["documents"], estimate["epochs"], estimate["held_out_documents"]) == (24, 5, 2)
    assert estimate["seconds_per_summary"] > 0
    assert 24 * 8 < estimate["tokens"] <= 24 * (16 + 8)  # both sides are cut
    without = dry_run(client, body | {"summarize": own | {"rouge_pairs": 0}}).json()["estimate"]
    saved = estimate["seconds"] - without["seconds"]
    assert saved == pytest.approx(2 * 2 * estimate["seconds_per_summary"], abs=0.11)
    with reading(engine) as session:
        row = session.scalars(select(Measurement)).one()
        assert (row.max_tokens, row.device, row.trained_layers) == (16, "cpu", 4)


def test_a_measurement_that_fails_is_told_with_its_reason(
    client: TestClient, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    causal = {"document_set": documents(client, 3), "block_tokens": 128}
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": causal}
    measuring = dry_run(client, body).json()["measuring"]

    def worked_off(job_id: str, _seconds: float) -> None:
        assert exit_of_attempt(job_id, measure.run) == EXIT_DONE

    monkeypatch.setattr("app.training.measurements.wait_for", worked_off)
    answer = dry_run(client, body).json()
    job = client.get(f"/jobs/{measuring}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "block-too-long")
    assert (answer["estimate"], answer["measuring"]) == (None, None)
    (warning,) = answer["warnings"]
    assert "measuring failed" in warning
    assert "64 tokens at once" in warning


def test_a_corpus_marked_sensitive_meanwhile_is_not_measured(client: TestClient, models: Path) -> None:
    causal = {"document_set": documents(client, 3)}
    body = {"corpus": "judgments", "task": "causal", "base_model": str(models / "llama"), "causal": causal}
    measuring = dry_run(client, body).json()["measuring"]
    etag = client.get("/corpora/judgments").headers["ETag"]
    change = {"name": "judgments", "sensitive": True}
    assert client.put("/corpora/judgments", json=change, headers={"If-Match": etag}).status_code == 200
    assert exit_of_attempt(measuring, measure.run) == EXIT_DONE
    job = client.get(f"/jobs/{measuring}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "corpus-sensitive")
    assert client.post("/train-jobs?dry_run=true", json=body).status_code == 409
