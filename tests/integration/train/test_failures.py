"""What a train job fails of: state `failed`, a stable code, words about what to do, and nothing registered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.db.session import writing
from app.settings import get_settings
from tests.integration.review_corpus import Built, annotate
from tests.integration.train.test_train_job import attempt, post
from tests.small_corpus import letters
from workers.job_context import EXIT_DONE

Queued = Callable[..., str]


@pytest.fixture
def queued(client: TestClient, corpus: Built, allowed: Path) -> Queued:
    """Posts a train job of two folds and gives its id."""
    return lambda **fields: post(client, allowed, **fields)


def failed(client: TestClient, job_id: str) -> dict[str, Any]:
    """The error of the job after its one attempt."""
    assert attempt(job_id) == EXIT_DONE
    job = client.get(f"/train-jobs/{job_id}").json()
    assert (job["state"], job["attempts"]) == ("failed", 1), job
    assert client.get("/adapters").json()["items"] == []
    error: dict[str, Any] = job["error"]
    return error


def settle(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"REMAND_{name}", value)
    get_settings.cache_clear()


def test_a_full_disk(client: TestClient, queued: Queued, environment: Path) -> None:
    job_id = queued()
    checkpoints = get_settings().work_root / job_id / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("fit-fold0-inner.pt", "fit-fold0.pt"):
        (checkpoints / f".{name}.partial").symlink_to("/dev/full")
    error = failed(client, job_id)
    assert error["code"] == "disk-full"
    assert error["folder"] == str(get_settings().work_root / job_id)
    assert error["folder"] in error["detail"]
    assert error["needed_bytes"] > 0
    assert list(checkpoints.glob("fit-*.pt")) == []


def test_a_full_disk_under_the_blobs(
    client: TestClient, queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_store: object, path: Path) -> None:
        raise OSError(28, "No space left on device", str(get_settings().blob_root) + "/.incoming-x")

    job_id = queued()
    trained = get_settings().work_root / job_id / "adapter"  # what training leaves
    trained.mkdir(parents=True)
    for name in ("manifest.json", "report.json"):
        (trained / name).write_text("{}")
    monkeypatch.setattr("app.blobs.BlobStore.put_file", full)
    error = failed(client, job_id)
    assert (error["code"], error["folder"]) == ("disk-full", get_settings().blob_root)


def test_too_little_memory_names_what_would_fit(
    client: TestClient, queued: Queued, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*_given: object, **_named: object) -> None:
        raise MemoryError

    job_id = queued(max_tokens=64)
    monkeypatch.setattr("models.training.run.build_trunk", starved)
    monkeypatch.setattr("workers.host_memory.own_limit_bytes", lambda: 2 << 30)
    error = failed(client, job_id)
    assert error["code"] == "out-of-memory"
    assert error["limit_bytes"] == 2 << 30
    assert error["peak_memory_bytes"] > 0
    assert error["would_fit"] == {}, "a tiny model fits: something else takes the memory"
    assert "something else takes the memory" in error["detail"]


def test_a_base_model_that_is_gone(
    client: TestClient, queued: Queued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = queued()
    settle(monkeypatch, MODEL_DIRS=str(tmp_path))
    assert failed(client, job_id)["code"] == "base-model-unavailable"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(
    client: TestClient, queued: Queued, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"corpus": "letters", "base_model": str(allowed), "device": "cuda"}
    refused = client.post("/train-jobs", json=body)
    assert (refused.status_code, refused.json()["field"]) == (422, "/device")
    assert refused.json()["type"] == "urn:remand:problem:device-unavailable"
    settle(monkeypatch, DEVICE="auto")
    assert failed(client, queued(device="cuda"))["code"] == "device-unavailable"


def test_labels_that_went_away_after_the_post(client: TestClient, engine: Engine, queued: Queued) -> None:
    job_id = queued()
    with writing(engine) as session:
        session.execute(text("DELETE FROM annotations"))
    assert failed(client, job_id)["code"] == "nothing-labelled"


def test_options_that_never_vary(
    client: TestClient, engine: Engine, queued: Queued, corpus: Built, allowed: Path
) -> None:
    job_id = queued()
    with writing(engine) as session:
        session.execute(text("DELETE FROM annotations"))
        for letter in letters(60):
            annotate(session, corpus, letter.key, "ann", "arguments", [1, 1])
    assert failed(client, job_id)["code"] == "options-never-vary"
    again = client.post("/train-jobs", json={"corpus": "letters", "base_model": str(allowed)})
    assert (again.status_code, again.json()["type"]) == (422, "urn:remand:problem:options-never-vary")
