"""The api before a real worker, with a causal and a summarizing adapter imported into the corpus judgments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.tiny_writer import adapter_tar
from tests.writing_worker import Worker, writing_worker


@dataclass(frozen=True, slots=True)
class Registered:
    """Ids."""

    causal: str
    summarize: str
    corpus: str


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with writing_worker(tmp_path_factory.mktemp("generating")) as worker:
        yield worker


@pytest.fixture
def client(worker: Worker, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The app with an admin key."""
    monkeypatch.setenv("REMAND_INFERENCE_URLS", worker.url)
    monkeypatch.setenv("REMAND_BLOB_ROOT", str(worker.blobs))
    monkeypatch.setenv("REMAND_MODEL_DIRS", str(worker.models))
    get_settings.cache_clear()
    with client_of_an_admin(engine) as client:
        yield client


@pytest.fixture
def adapters(client: TestClient, worker: Worker) -> Registered:
    corpus = client.post("/corpora", json={"name": "judgments"}).json()["id"]
    found = {}
    for family in ("llama", "t5"):
        tar = {"file": ("a.tar", adapter_tar(worker.folders[family]))}
        answer = client.post("/adapters", files=tar, data={"corpus": "judgments", "name": family})
        assert answer.status_code == 201, answer.text
        found[family] = answer.json()["id"]
    return Registered(found["llama"], found["t5"], corpus)
