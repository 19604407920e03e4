"""The synthetic corpus with its closed audit sample, the api, and a way to run an estimates job in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs import leases
from app.jobs.queries import get_job
from app.settings import get_settings
from tests.api import admin, client, keys
from tests.integration.estimates.world import World, build_world
from workers.estimates.job import run
from workers.job_context import run_attempt
from workers.stopping import StopFlag

__all__ = ["admin", "client", "keys"]


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine, BlobStore(get_settings().blob_root))


@pytest.fixture
def attempt(engine: Engine) -> Callable[[str], Job]:
    """Claims a job and runs one attempt; the job afterwards."""

    def once(job_id: str) -> Job:
        with writing(engine) as session:
            claimed = leases.claim(session, job_id, "test", 30)
            assert claimed is not None
        run_attempt(job_id, claimed.fence, run, StopFlag())
        with reading(engine) as session:
            found = get_job(session, job_id)
            assert found is not None
            return found

    return once


@pytest.fixture
def estimated(
    admin: TestClient, world: World, attempt: Callable[[str], Job]
) -> Callable[..., dict[str, Any]]:
    """Estimates of the corpus: the report, with the job's id."""

    def once(*analyses: dict[str, Any], **body: Any) -> dict[str, Any]:
        made = admin.post("/estimates", json={"corpus": world.corpus_id, "analyses": list(analyses)} | body)
        assert made.status_code == 202, made.text
        job = attempt(made.json()["id"])
        assert job.state == "succeeded", job.error
        assert job.result is not None
        found: dict[str, Any] = admin.get(job.result["report"]).json()
        return found

    return once
