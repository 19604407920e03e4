"""Measurements that estimates rest on: one of the last day is used again, a missing one is made by a job on the train queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy import select, text

from app.db.session import AnySession, WriteSession, reading, writing
from app.db.tables import Job, Measurement
from app.jobs.queries import create_job, get_job
from app.jobs.rules import State, is_final
from app.settings import get_settings
from app.training.generative_schemas import GenerativePreview
from app.training.schemas import TrainingPreview
from models.versions import installed

GOOD_FOR = "24 hours"
"""How long a measurement is used again."""
RETRY_SECONDS = 5
_POLL_SECONDS = 0.25
_PACKAGES = ("remand", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A measurement that an estimate needs."""

    corpus_id: str
    asked: Mapping[str, Any]
    """What it must have been made for, base_model and device among it: equal, or it is of no use."""
    job_params: Mapping[str, Any]
    """What the measuring job needs beside that."""


@dataclass(frozen=True, slots=True)
class Found:
    """A measurement, or the job that it waits for, or why there is none."""

    row: Measurement | None = None
    job_id: str | None = None
    failure: str | None = None
    """Words of a measuring job that failed."""


def versions() -> dict[str, str]:
    """Versions of the packages that speed depends on, as installed here; empty ones where they are not."""
    return installed(_PACKAGES)


def newest(session: AnySession, corpus_id: str, asked: Mapping[str, Any]) -> Measurement | None:
    """The newest measurement of the last day for the same request and the same versions."""
    query = select(Measurement).where(
        Measurement.corpus_id == corpus_id,
        Measurement.base_model == asked["base_model"],
        Measurement.asked == dict(asked),
        Measurement.at > text(f"now() - interval '{GOOD_FOR}'"),
    )
    here = versions()
    for row in session.scalars(query.order_by(Measurement.at.desc(), Measurement.id.desc()).limit(20)):
        if all(row.versions.get(name, version) == version for name, version in here.items()):
            return row
    return None


def measured(db: WriteSession, wanted: Wanted, actor: str) -> Found:
    """The measurement, made and waited for where there is none. Ends the transaction of `db`, so that nobody waits on it."""
    row = newest(db, wanted.corpus_id, wanted.asked)
    if row is not None:
        db.expunge(row)
    db.rollback()
    if row is not None:
        return Found(row)
    job_id = start_measurement(wanted, actor)
    wait_for(job_id, get_settings().measure_wait_seconds)
    with reading() as session:
        row, job = newest(session, wanted.corpus_id, wanted.asked), get_job(session, job_id)
        if row is not None:
            session.expunge(row)
            return Found(row)
        if job is not None and job.state == State.FAILED:
            return Found(failure=str((job.error or {}).get("detail", job_id)))
        return Found(job_id=job_id)


def start_measurement(wanted: Wanted, created_by: str) -> str:
    """A measuring job: the one that waits or runs already, or a new one; gives its id.

    In a transaction of its own: a dry run stores nothing of the request, but the measurement is made all the same.
    """
    asked = dict(wanted.asked)
    with writing() as session:
        # Two dry runs at once make one measurement.
        session.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:id))"), {"id": f"measure {wanted.corpus_id}"}
        )
        under_way = select(Job.id).where(
            Job.kind == "measure",
            Job.corpus_id == wanted.corpus_id,
            Job.state.in_((State.QUEUED, State.RUNNING)),
            Job.params["asked"] == asked,
        )
        known = session.scalars(under_way.limit(1)).first()
        if known is not None:
            return known
        params = {"asked": asked, "device": asked["device"], **wanted.job_params}
        return create_job(session, "measure", wanted.corpus_id, params, created_by).id


def wait_for(job_id: str, seconds: float) -> None:
    """Until the job has ended, or so many seconds are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with reading() as session:
            job = get_job(session, job_id)
        if job is None or is_final(job.state):
            return
        time.sleep(_POLL_SECONDS)


def answered(preview: TrainingPreview | GenerativePreview, found: Found) -> JSONResponse:
    """The answer to a dry run: with Retry-After while it waits for its measurement, with a warning where that failed."""
    preview.measuring = found.job_id
    if found.failure is not None:
        preview.warnings.append(f"There is no estimate, because measuring failed: {found.failure}")
    headers = {"Retry-After": str(RETRY_SECONDS)} if found.job_id is not None else {}
    return JSONResponse(preview.model_dump(mode="json"), headers=headers)
