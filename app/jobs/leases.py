"""SQL of leases: claiming, renewing and releasing jobs, ringing for them, and named leases such as the dispatcher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text, update

from app.db.session import WriteSession
from app.db.tables import Job
from app.jobs.queries import EVENTS_CHANNEL, JOBS_CHANNEL, append_event, end_job, lock_running, notify
from app.jobs.rules import State, after_early_end, check_edge


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker may run now."""

    job_id: str
    kind: str
    fence: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A renewed lease, and whether somebody wants the job to end."""

    cancel_requested: bool


_CLAIM = text(
    f"""
    WITH claimed AS (
      UPDATE jobs SET state = 'running', fence = fence + 1, attempts = attempts + 1,
        attempts_since_checkpoint = attempts_since_checkpoint + 1, lease_owner = :owner,
        lease_until = clock_timestamp() + make_interval(secs => :seconds),
        started_at = coalesce(started_at, clock_timestamp()), last_event = last_event + 1
      WHERE id = :id AND state = 'queued' RETURNING id, kind, fence, attempts, last_event
    ), noted AS (
      INSERT INTO job_events (job_id, number, kind, data)
      SELECT id, last_event, 'started', jsonb_build_object('attempt', attempts) FROM claimed
    )
    SELECT id, kind, fence, pg_notify('{EVENTS_CHANNEL}', id) FROM claimed
    """  # noqa: S608  (a constant)
)
_RENEW = text(
    """
    UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND fence = :fence AND state = 'running' RETURNING cancel_requested
    """
)
_TAKE = text(
    """
    INSERT INTO leases (name, owner, until) VALUES (:name, :owner, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until,
      fence = leases.fence + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END
    WHERE leases.owner = excluded.owner OR leases.until < clock_timestamp()
    RETURNING fence
    """
)


def claim(session: WriteSession, job_id: str, owner: str, seconds: float) -> Claim | None:
    """Compare-and-set in one statement: queued becomes running under a new fence; None when somebody else was faster."""
    row = session.execute(_CLAIM, {"id": job_id, "owner": owner, "seconds": seconds}).one_or_none()
    return Claim(row.id, row.kind, row.fence) if row else None


def renew(session: WriteSession, job_id: str, fence: int, seconds: float) -> Hold | None:
    """Prolong a lease, expired or not; None when the job ended or another worker took it."""
    row = session.execute(_RENEW, {"id": job_id, "fence": fence, "seconds": seconds}).one_or_none()
    return Hold(row.cancel_requested) if row else None


def release(
    session: WriteSession,
    job_id: str,
    fence: int,
    *,
    code: str,
    reason: str,
    counted: bool,
    max_attempts: int,
    last_words: str = "",
) -> State:
    """End an attempt that brought no result; gives what the job is now. LeaseLost when it is not ours any more.

    code, reason: why, as a slug and in words. counted: False after an orderly shutdown of the worker.
    last_words: what the child wrote last, kept apart from the words that people read.
    """
    job = lock_running(session, job_id, fence)
    return _end_attempt(
        session,
        job,
        code=code,
        reason=reason,
        counted=counted,
        max_attempts=max_attempts,
        last_words=last_words,
    )


def release_expired(session: WriteSession, max_attempts: int) -> list[tuple[str, State]]:
    """End the attempts whose lease ran out. A row locked by a writer is skipped: whoever writes is alive."""
    expired = select(Job).where(Job.state == State.RUNNING, Job.lease_until < func.clock_timestamp())
    reason = "The worker stopped renewing its lease: it was killed or cut off."
    return [
        (
            job.id,
            _end_attempt(
                session, job, code="lease-expired", reason=reason, counted=True, max_attempts=max_attempts
            ),
        )
        for job in session.scalars(expired.with_for_update(skip_locked=True)).all()
    ]


def _end_attempt(
    session: WriteSession,
    job: Job,
    *,
    code: str,
    reason: str,
    counted: bool,
    max_attempts: int,
    last_words: str = "",
) -> State:
    state = after_early_end(
        cancel_requested=job.cancel_requested,
        counted=counted,
        attempts_since_checkpoint=job.attempts_since_checkpoint,
        max_attempts=max_attempts,
    )
    if state is State.FAILED:
        error = {"code": "attempts-exhausted", "detail": _exhausted(job, reason), "cause": code}
        end_job(session, job, state, error=error | _said(last_words))
    elif state is State.CANCELLED:
        end_job(session, job, state)
    else:
        _requeue(session, job, {"code": code, "reason": reason} | _said(last_words), counted=counted)
    return state


def _exhausted(job: Job, reason: str) -> str:
    """What happened and what to do, for whoever asked for the job."""
    tries = job.attempts_since_checkpoint
    stage = (job.progress or {}).get("stage")
    return (
        f"The process of this {job.kind} job failed {'once' if tries == 1 else f'{tries} times'} "
        f"{f'at the stage “{stage}”' if stage else 'before its first stage'} and got no further. The last time: {reason} "
        f"It is not tried again by itself. See the logs of the jobs worker: if they show no cause that you can remove, such as too little "
        f"memory, report them with the id {job.id}."
    )


def _said(last_words: str) -> dict[str, str]:
    return {"last_words": last_words} if last_words else {}


def _requeue(session: WriteSession, job: Job, why: dict[str, str], *, counted: bool) -> None:
    """Back into the queue, to be rung at once."""
    check_edge(job.state, State.QUEUED)
    job.state, job.lease_owner, job.lease_until, job.rung_at = State.QUEUED.value, None, None, None
    if not counted:
        job.attempts -= 1
        job.attempts_since_checkpoint = max(0, job.attempts_since_checkpoint - 1)
    session.flush()
    append_event(session, job.id, "requeued", why)
    notify(session, JOBS_CHANNEL, job.id)


def jobs_to_ring(session: WriteSession, again_after_seconds: float, limit: int = 200) -> Sequence[Job]:
    """Queued jobs that were not rung lately, oldest first."""
    latest = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, again_after_seconds)
    query = select(Job).where(Job.state == State.QUEUED, (Job.rung_at.is_(None)) | (Job.rung_at < latest))
    return session.scalars(query.order_by(Job.created_at, Job.id).limit(limit)).all()


def mark_rung(session: WriteSession, job_ids: Sequence[str]) -> None:
    """Note that Celery was told of these jobs."""
    session.execute(
        update(Job)
        .where(Job.id.in_(job_ids))
        .values(rung_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )


def ring_again(session: WriteSession, kind: str) -> None:
    """Have the queued jobs of a kind rung at once: what they waited for is free."""
    waiting = update(Job).where(Job.kind == kind, Job.state == State.QUEUED).values(rung_at=None)
    session.execute(waiting.execution_options(synchronize_session=False))
    notify(session, JOBS_CHANNEL, "")


def take_lease(session: WriteSession, name: str, owner: str, seconds: float) -> int | None:
    """Take or keep a named lease; gives its fence, or None while somebody else holds it."""
    fence: int | None = session.execute(
        _TAKE, {"name": name, "owner": owner, "seconds": seconds}
    ).scalar_one_or_none()
    return fence


def give_lease_back(session: WriteSession, name: str, owner: str) -> None:
    """Free a named lease if this owner still holds it."""
    freed = text("UPDATE leases SET until = clock_timestamp() WHERE name = :name AND owner = :owner")
    session.execute(freed, {"name": name, "owner": owner})
