"""A corpus, a summarizing adapter without weights, a worker that writes, and a way to run one attempt of a summary job here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Adapter, Blob, Job
from app.ids import new_id
from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.attempts import one_attempt
from tests.integration.review_corpus import Built, add_text, build_corpus
from tests.summarizing_worker import WritingWorker, writing_worker
from workers.stopping import StopFlag
from workers.summarize.job import run

LETTER = (
    "Your Honor, John Smith paid $5,000 on 3 May 2019. He is sorry for what he did. His children miss him. "
    "They live in Vienna with their mother."
)


@dataclass
class World:
    """The corpus, its adapter and the worker."""

    built: Built
    adapter_id: str
    blob: str
    worker: WritingWorker


@pytest.fixture
def worker(environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritingWorker]:
    with writing_worker() as (worker, url):
        monkeypatch.setenv("REMAND_INFERENCE_URLS", url)
        get_settings.cache_clear()
        yield worker


@pytest.fixture
def world(engine: Engine, worker: WritingWorker) -> World:
    with writing(engine) as session:
        built = build_corpus(session, "judgments")
        for number in range(40):
            add_text(session, built, f"j{number}", f"{LETTER} This is letter number {number + 10}.")
        blob = BlobStore(get_settings().blob_root).put_bytes(b"adapter")
        session.add(
            Blob(digest=blob.digest, size=blob.size, media_type="application/x-tar", purpose="adapter")
        )
        session.flush()
        adapter = Adapter(
            id=new_id("adp"), corpus_id=built.corpus_id, task="summarize", name="short", base_model="tiny-t5", option_keys=[],
            digest="d" * 64, blob_digest=blob.digest,
            manifest={"reading": {"style": "dialogue", "max_input_tokens": 120, "max_target_tokens": 60}},
        )  # fmt: skip
        session.add(adapter)
    return World(built, adapter.id, blob.digest, worker)


@pytest.fixture
def client(world: World, engine: Engine) -> Iterator[TestClient]:
    with client_of_an_admin(engine) as client:
        yield client


@pytest.fixture
def attempt() -> Callable[..., Job]:
    """Claims a summary job and runs one attempt; the job afterwards, queued again where it did not end."""

    def once(job_id: str, flag: StopFlag | None = None) -> Job:
        return one_attempt(job_id, lambda _kind: run, flag)

    return once


@pytest.fixture
def summarized(world: World, client: TestClient, attempt: Callable[..., Job]) -> Callable[..., Job]:
    """Starts a summary job of the corpus with these fields and runs it to its end."""

    def make(**body: Any) -> Job:
        answer = client.post("/summary-jobs", json={"corpus": "judgments", **body})
        assert answer.status_code == 202, answer.text
        return attempt(answer.json()["id"])

    return make
