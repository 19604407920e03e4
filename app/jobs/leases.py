"""SQL of leases: claiming, renewing and releasing jobs, ringing for them, and named leases such as the dispatcher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from app.db.session import WriteSession
from app.db.tables import Job
from app.jobs.kinds import KINDS
from app.jobs.queries import (
    EVENTS_CHANNEL,
    JOBS_CHANNEL,
    append_event,
    end_job,
    hold_job,
    lock_running,
    notify,
)
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
    pause_requested: bool = False


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
    UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => :seconds), progress = progress || :seen
    WHERE id = :id AND fence = :fence AND state = 'running' RETURNING cancel_requested, pause_requested
    """
).bindparams(bindparam("seen", type_=JSONB))
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


def renew(
    session: WriteSession, job_id: str, fence: int, seconds: float, seen: dict[str, Any] | None = None
) -> Hold | None:
    """Prolong a lease, expired or not; None when the job ended or another worker took it.

    seen: what the supervisor has seen of the child (memory), merged into the job's progress.
    """
    values = {"id": job_id, "fence": fence, "seconds": seconds, "seen": seen or {}}
    row = session.execute(_RENEW, values).one_or_none()
    return Hold(row.cancel_requested, row.pause_requested) if row else None


def release(  # noqa: PLR0913  # what is known of an attempt's end
    session: WriteSession,
    job_id: str,
    fence: int,
    *,
    code: str,
    reason: str,
    counted: bool,
    max_attempts: int,
    last_words: str = "",
    event: tuple[str, dict[str, Any]] | None = None,
    hopeless: dict[str, Any] | None = None,
) -> State:
    """End an attempt that brought no result; gives what the job is now. LeaseLost when it is not ours any more.

    code, reason: why, as a slug and in words. counted: False after an orderly shutdown of the worker.
    last_words: what the child wrote last, kept apart from the words that people read.
    event: kind and data of something to tell before.
    hopeless: members of the error of a job that would only die again; it fails now with `code`, whatever attempts are left.
    """
    job = lock_running(session, job_id, fence)
    if event is not None:
        append_event(session, job_id, *event)
    if hopeless is not None and not job.cancel_requested:
        end_job(session, job, State.FAILED, error={"code": code, "detail": reason} | hopeless)
        return State.FAILED
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
        pause_requested=job.pause_requested,
    )
    if state is State.FAILED:
        error = {"code": "attempts-exhausted", "detail": _exhausted(job, reason), "cause": code}
        end_job(session, job, state, error=error | _said(last_words))
    elif state is State.CANCELLED:
        end_job(session, job, state)
    elif state is State.PAUSED:
        _give_claim_back(job, counted=counted)
        hold_job(session, job)
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
    _give_claim_back(job, counted=counted)
    session.flush()
    append_event(session, job.id, "requeued", why)
    notify(session, JOBS_CHANNEL, job.id)


def _give_claim_back(job: Job, *, counted: bool) -> None:
    if not counted:
        job.attempts -= 1
        job.attempts_since_checkpoint = max(0, job.attempts_since_checkpoint - 1)


def take_rings(session: WriteSession, again_after_seconds: float, limit: int = 200) -> list[tuple[str, str]]:
    """(kind, id) of queued jobs that were not rung lately, oldest first, noted as rung in the same transaction.

    Noted before the ring, so that a wish to be rung again (`ring_trainers`) that comes between is not overwritten.
    """
    latest = func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, again_after_seconds)
    query = select(Job).where(Job.state == State.QUEUED, (Job.rung_at.is_(None)) | (Job.rung_at < latest))
    found = session.scalars(query.order_by(Job.created_at, Job.id).limit(limit)).all()
    _note_rung(session, [job.id for job in found], func.clock_timestamp())
    return [(job.kind, job.id) for job in found]


def give_rings_back(session: WriteSession, job_ids: Sequence[str]) -> None:
    """Jobs that Celery could not be told of are rung at the next look."""
    _note_rung(session, job_ids, None)


def _note_rung(session: WriteSession, job_ids: Sequence[str], at: Any) -> None:
    if job_ids:
        noted = update(Job).where(Job.id.in_(job_ids)).values(rung_at=at)
        session.execute(noted.execution_options(synchronize_session=False))


def ring_trainers(session: WriteSession) -> None:
    """Have the queued jobs of all trainer kinds rung at once: the device that they waited for is free."""
    trainers = [kind.name for kind in KINDS.values() if kind.trainer]
    waiting = update(Job).where(Job.kind.in_(trainers), Job.state == State.QUEUED).values(rung_at=None)
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
