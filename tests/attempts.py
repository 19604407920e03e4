"""One attempt of a job in this process, as a jobs worker's child would make it."""

from __future__ import annotations

from collections.abc import Callable

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs.leases import Claim, claim, release
from app.jobs.queries import get_job
from workers.job_context import JobContext, run_attempt
from workers.stopping import StopFlag

Run = Callable[[JobContext], None]


def claimed(job_id: str, seconds: float = 60.0) -> Claim:
    """A queued job, claimed for so many seconds."""
    with writing() as session:
        held = claim(session, job_id, "test", seconds)
    assert held is not None
    return held


def exit_of_attempt(job_id: str, run: Run, flag: StopFlag | None = None) -> int:
    """Claims a job and runs one attempt; its exit status. The lease of a job that did not end stays.

    Args:
        job_id: which.
        run: what carries it out.
        flag: asks it to stop.
    """
    return run_attempt(job_id, claimed(job_id).fence, run, flag or StopFlag())


def job_now(job_id: str) -> Job:
    """A job as it is at this moment."""
    with reading() as session:
        found = get_job(session, job_id)
        assert found is not None
        return found


def one_attempt(job_id: str, run_of: Callable[[str], Run], flag: StopFlag | None = None) -> Job:
    """Claims a job and runs one attempt; the job afterwards, queued again where it did not end.

    Args:
        job_id: which.
        run_of: what carries out jobs of a kind.
        flag: asks it to stop.
    """
    held = claimed(job_id)
    code = run_attempt(job_id, held.fence, run_of(held.kind), flag or StopFlag())
    if job_now(job_id).state == "running":
        with writing() as session:
            release(
                session, job_id, held.fence, code="ended", reason=f"exit {code}", counted=True, max_attempts=9
            )
    return job_now(job_id)
