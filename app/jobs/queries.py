"""SQL of jobs as the api and their children need it: create, read, events, cancel, and writes guarded by the fence.

What workers and the dispatcher do to a job (claim, renew, release, ring) is in leases.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from app.db.paging import newest_first
from app.db.session import AnySession, WriteSession
from app.db.tables import Job, JobEvent, JobPart
from app.ids import new_id
from app.jobs.kinds import KINDS
from app.jobs.rules import LeaseLost, State, check_edge, is_final

JOBS_CHANNEL = "remand_jobs"
"""NOTIFY with a job id: a job is new, free again, or shall be cancelled."""
EVENTS_CHANNEL = "remand_events"
"""NOTIFY with a job id: it has a new event."""

_APPEND = text(
    """
    WITH job AS (UPDATE jobs SET last_event = last_event + 1 WHERE id = :id RETURNING last_event)
    INSERT INTO job_events (job_id, number, kind, data) SELECT :id, last_event, :kind, :data FROM job RETURNING number
    """
).bindparams(bindparam("data", type_=JSONB))


def create_job(
    session: WriteSession, kind: str, corpus_id: str | None, params: dict[str, Any], created_by: str | None
) -> Job:
    """Write a queued job and its first event in the caller's transaction; the dispatcher hears of it at commit.

    KeyError for an unknown kind.
    """
    job = Job(
        id=new_id("job"), kind=KINDS[kind].name, corpus_id=corpus_id, params=params, created_by=created_by
    )
    session.add(job)
    session.flush()
    append_event(session, job.id, "queued", {})
    notify(session, JOBS_CHANNEL, job.id)
    session.refresh(job)
    return job


def get_job(session: AnySession, job_id: str, kind: str | None = None) -> Job | None:
    """A job, or None where there is none of that id and kind."""
    job = session.get(Job, job_id)
    return job if job is not None and kind in {None, job.kind} else None


def list_jobs(
    session: AnySession,
    *,
    kind: str | None = None,
    corpus_id: str | None = None,
    state: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[Job]:
    """Jobs, newest first. before: (created_at, id) of the last job already seen."""
    query = select(Job)
    for column, value in ((Job.kind, kind), (Job.corpus_id, corpus_id), (Job.state, state)):
        if value is not None:
            query = query.where(column == value)
    return session.scalars(newest_first(query, Job.created_at, Job.id, before, limit)).all()


def events_after(session: AnySession, job_id: str, number: int, limit: int = 500) -> Sequence[JobEvent]:
    """Events of a job with a number above `number`, in order."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.number > number)
    return session.scalars(query.order_by(JobEvent.number).limit(limit)).all()


def append_event(session: WriteSession, job_id: str, kind: str, data: dict[str, Any]) -> int:
    """Add an event under the job row's lock, so that numbers have no gaps; gives its number."""
    number: int = session.execute(_APPEND, {"id": job_id, "kind": kind, "data": data}).scalar_one()
    notify(session, EVENTS_CHANNEL, job_id)
    return number


def notify(session: WriteSession, channel: str, payload: str) -> None:
    """NOTIFY at commit."""
    session.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


def request_cancel(session: WriteSession, job_id: str) -> Job | None:
    """Ask for the end of a job: a queued or paused one is cancelled at once, a running one soon; a final one stays as it is."""
    job = _locked(session, job_id)
    if job is None or is_final(job.state) or job.cancel_requested:
        return job
    job.cancel_requested = True
    if job.state == State.RUNNING:
        session.flush()
        append_event(session, job_id, "cancel_requested", {})
        notify(session, JOBS_CHANNEL, job_id)
    else:
        end_job(session, job, State.CANCELLED)
    session.refresh(job)
    return job


def request_pause(session: WriteSession, job_id: str) -> Job | None:
    """Ask a job to wait: a queued one is paused at once, a running one after its next checkpoint; others stay as they are.

    Not-pausable kinds are the caller's to refuse.
    """
    job = _locked(session, job_id)
    if job is None or is_final(job.state) or job.state == State.PAUSED or job.pause_requested:
        return job
    if job.state == State.QUEUED:
        hold_job(session, job)
    elif not job.cancel_requested:
        job.pause_requested = True
        session.flush()
        append_event(session, job_id, "pause_requested", {})
        notify(session, JOBS_CHANNEL, job_id)
    session.refresh(job)
    return job


def resume_job(session: WriteSession, job_id: str) -> Job | None:
    """Let a paused job go on; a pause that was only asked for is taken back. Jobs in other states stay as they are."""
    job = _locked(session, job_id)
    if job is None or not (job.state == State.PAUSED or job.pause_requested):
        return job
    job.pause_requested = False
    if job.state == State.PAUSED:
        check_edge(job.state, State.QUEUED)
        job.state, job.rung_at = State.QUEUED.value, None
    session.flush()
    append_event(session, job_id, "resumed", {})
    notify(session, JOBS_CHANNEL, job_id)
    session.refresh(job)
    return job


def hold_job(session: WriteSession, job: Job) -> None:
    """Give a locked job the state `paused`, with the event of that name."""
    check_edge(job.state, State.PAUSED)
    job.state, job.pause_requested = State.PAUSED.value, False
    job.lease_owner = job.lease_until = None
    session.flush()
    append_event(session, job.id, State.PAUSED.value, {})


def lock_running(session: WriteSession, job_id: str, fence: int) -> Job:
    """The job row, locked until the transaction ends; LeaseLost unless it runs under this fence."""
    job = _locked(session, job_id)
    if job is None or job.state != State.RUNNING or job.fence != fence:
        raise LeaseLost(f"{job_id} is no longer run under fence {fence}")
    return job


def finish(
    session: WriteSession,
    job_id: str,
    fence: int,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """End a running job in the caller's transaction, beside what it wrote; LeaseLost when it is not ours any more."""
    end_job(session, lock_running(session, job_id, fence), state, result=result, error=error)


def end_job(
    session: WriteSession,
    job: Job,
    state: State,
    *,
    result: dict[str, Any] | None = None,
    error: dict[str, Any] | None = None,
) -> None:
    """Give a locked job a final state, with the event of that name; what it made ends with it unless it succeeded."""
    check_edge(job.state, state)
    job.state = state.value
    if result is not None:
        job.result = result
    if error is not None:
        job.error = error
    job.lease_owner = job.lease_until = None
    job.pause_requested = False
    job.finished_at = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    session.flush()
    append_event(session, job.id, state.value, error or result or {})
    if state is not State.SUCCEEDED:
        for part in session.scalars(
            select(JobPart.job_id).where(JobPart.parent_id == job.id).order_by(JobPart.job_id)
        ):
            request_cancel(session, part)


def save_checkpoint(session: WriteSession, job_id: str, fence: int, data: dict[str, Any]) -> None:
    """Store where a later attempt goes on; a new one (different from the last) makes attempts count from zero."""
    job = lock_running(session, job_id, fence)
    if job.checkpoint != data:
        job.checkpoint, job.attempts_since_checkpoint = data, 0
        session.flush()
        append_event(session, job_id, "checkpoint", data)


def _locked(session: WriteSession, job_id: str) -> Job | None:
    return session.get(Job, job_id, with_for_update=True, populate_existing=True)
