"""A train job that is paused in its middle ends with the weights of one that ran through, also when its checkpoints are lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.jobs import leases
from app.settings import get_settings
from tests.integration.review_corpus import Built
from tests.integration.train.test_train_job import attempt, kinds, post
from workers.job_context import EXIT_DONE, EXIT_STOPPED
from workers.stopping import StopFlag
from workers.work_folder import clean_work_folder

NOT_OF_THE_MODEL = {"report.json", "README.md"}
"""They say how long it took."""


def learned(client: TestClient, job_id: str) -> dict[str, str]:
    """Digests of the adapter's files."""
    job = client.get(f"/train-jobs/{job_id}").json()
    assert job["state"] == "succeeded", job
    files = client.get(f"/adapters/{job['result']['adapter_id']}").json()["manifest"]["files"]
    return {name: digest for name, digest in files.items() if name not in NOT_OF_THE_MODEL}


def paused_after(client: TestClient, engine: Engine, job_id: str, event: str) -> None:
    """One attempt that is asked to pause once an event was told."""

    class Paused(StopFlag):
        def reason(self) -> Any:
            if event not in kinds(engine, job_id):
                return None
            if "pause_requested" not in kinds(engine, job_id):
                client.post(f"/train-jobs/{job_id}/pause")
            return "pause"

    assert attempt(job_id, Paused()) == EXIT_STOPPED
    with writing(engine) as session:
        fence = client.get(f"/train-jobs/{job_id}").json()["attempts"]
        leases.release(session, job_id, fence, code="pause", reason="asked", counted=False, max_attempts=3)
    assert client.get(f"/train-jobs/{job_id}").json()["state"] == "paused"


def test_a_paused_job_ends_as_if_it_had_never_been_paused(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    undisturbed = post(client, allowed, name="undisturbed")
    assert attempt(undisturbed) == EXIT_DONE
    expected = learned(client, undisturbed)

    job_id = post(client, allowed, name="paused")
    paused_after(client, engine, job_id, "epoch")
    work = get_settings().work_root / job_id
    clean_work_folder(get_settings())
    assert (work / "checkpoints").is_dir()
    assert client.post(f"/train-jobs/{job_id}/resume").json()["state"] == "queued"
    assert attempt(job_id) == EXIT_DONE
    assert learned(client, job_id) == expected
    assert "started_anew" not in kinds(engine, job_id)
    clean_work_folder(get_settings())
    assert not work.exists()


def test_a_restored_job_without_checkpoints_starts_anew_and_says_so(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    job_id = post(client, allowed)
    paused_after(client, engine, job_id, "epoch")
    shutil.rmtree(get_settings().work_root)  # a backup holds the database and the blobs
    client.post(f"/train-jobs/{job_id}/resume")

    class AtTheSameFoldAgain(StopFlag):
        def reason(self) -> Any:
            return "shutdown" if kinds(engine, job_id).count("fold_started") == 2 else None

    assert attempt(job_id, AtTheSameFoldAgain()) == EXIT_STOPPED
    told = kinds(engine, job_id)
    assert (told.count("started_anew"), told.count("snapshot")) == (1, 1)


def test_what_can_be_paused_and_what_not(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path
) -> None:
    job_id = post(client, allowed)
    address = f"/train-jobs/{job_id}"
    assert client.get(address).json()["links"]["pause"] == f"{address}/pause"
    assert [client.post(f"{address}/pause").json()["state"] for _ in range(2)] == ["paused", "paused"]
    with writing(engine) as session:
        assert leases.claim(session, job_id, "w", 30) is None
    assert client.get("/jobs?state=paused").json()["items"][0]["id"] == job_id
    assert [client.post(f"{address}/resume").json()["state"] for _ in range(2)] == ["queued", "queued"]
    client.post(f"{address}/pause")
    assert client.post(f"{address}/cancel").json()["state"] == "cancelled"
    ended = client.get(address).json()
    assert client.post(f"{address}/pause").json() == client.post(f"{address}/resume").json() == ended
    assert kinds(engine, job_id) == ["queued", "paused", "resumed", "paused", "cancelled"]
    measuring = client.post(
        "/train-jobs?dry_run=true", json={"corpus": "letters", "base_model": str(allowed)}
    )
    short = f"/jobs/{measuring.json()['measuring']}"
    assert "pause" not in client.get(short).json()["links"]
    refused = client.post(f"{short}/pause")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:remand:problem:not-pausable")
