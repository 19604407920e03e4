"""One attempt of a job in this process, as a jobs worker's child would make it."""

from __future__ import annotations

from collections.abc import Callable

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs.leases import claim, release
from app.jobs.queries import get_job
from workers.job_context import JobContext, run_attempt
from workers.stopping import StopFlag

Run = Callable[[JobContext], None]


def one_attempt(job_id: str, run_of: Callable[[str], Run], flag: StopFlag | None = None) -> Job:
    """Claims a job and runs one attempt; the job afterwards, queued again where it did not end.

    Args:
        job_id: which.
        run_of: what carries out jobs of a kind.
        flag: asks it to stop.
    """
    with writing() as session:
        held = claim(session, job_id, "test", 30)
        assert held is not None
        kind = session.get_one(Job, job_id).kind
    code = run_attempt(job_id, held.fence, run_of(kind), flag or StopFlag())
    with writing() as session:
        job = get_job(session, job_id)
        assert job is not None
        if job.state == "running":
            release(
                session, job_id, held.fence, code="ended", reason=f"exit {code}", counted=True, max_attempts=9
            )
    with reading() as session:
        found = get_job(session, job_id)
        assert found is not None
        return found
