"""The synthetic corpus with a worker behind HTTP, and a way to run one attempt of a relabel job in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import writing
from app.db.tables import Job
from app.jobs.queries import create_job
from app.settings import get_settings
from models.audit.suspicion import Evidence, Suspicion, self_confidence
from tests.attempts import one_attempt
from tests.integration.inference_server import InferenceServer, serving
from tests.integration.relabel.world import WordReader, World, build_world
from workers import rank
from workers.relabel.job import run
from workers.stopping import StopFlag


@pytest.fixture
def reader() -> WordReader:
    return WordReader()


@pytest.fixture
def server(reader: WordReader) -> Iterator[InferenceServer]:
    with serving(lambda _digest: reader, lambda _name: reader) as server:
        yield server


@pytest.fixture
def world(
    engine: Engine, server: InferenceServer, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setenv("REMAND_INFERENCE_URLS", server.url)
    get_settings.cache_clear()
    return build_world(engine, BlobStore(get_settings().blob_root))


@pytest.fixture
def plain_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores without the stacked models, for tests that are about something else: those take seconds to fit."""

    def plain(evidence: Evidence, threads: int = 1) -> Suspicion:
        return Suspicion(
            self_confidence(evidence.probabilities, evidence.labels, evidence.scheme), "self_confidence", {}
        )

    monkeypatch.setattr("workers.relabel.scoring.score", plain)


@pytest.fixture
def start(world: World) -> Callable[[], str]:
    """Makes a relabel job; its id."""

    def make() -> str:
        with writing() as session:
            return create_job(
                session, "relabel", world.built.corpus_id, {"adapter": world.adapter_id}, "ada"
            ).id

    return make


@pytest.fixture
def attempt() -> Callable[..., Job]:
    """Claims a relabel or rank job and runs one attempt; the job afterwards, queued again where it did not end."""

    def once(job_id: str, flag: StopFlag | None = None) -> Job:
        return one_attempt(job_id, {"relabel": run, "rank": rank.run}.__getitem__, flag)

    return once
