"""The synthetic corpus with its closed audit sample, the api, and a way to run an estimates job in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.tables import Job
from app.settings import get_settings
from tests.api import admin, client, keys
from tests.attempts import exit_of_attempt, job_now
from tests.integration.estimates.world import World, build_world
from workers.estimates.job import run

__all__ = ["admin", "client", "keys"]


@pytest.fixture
def world(engine: Engine) -> World:
    return build_world(engine, BlobStore(get_settings().blob_root))


@pytest.fixture
def attempt(engine: Engine) -> Callable[[str], Job]:
    """Claims a job and runs one attempt; the job afterwards."""

    def once(job_id: str) -> Job:
        exit_of_attempt(job_id, run)
        return job_now(job_id)

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
