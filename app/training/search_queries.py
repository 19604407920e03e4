"""SQL of searches: the jobs that they made, and the studies that Optuna keeps in its own schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text

from app.db.session import AnySession, WriteSession
from app.db.tables import Job, JobPart
from app.jobs.queries import create_job

SCHEMA = "optuna"
"""Optuna's tables have a schema of their own: its migrations use Alembic's default version table, as ours do."""

_ORPHANS = f"SELECT s.study_id FROM {SCHEMA}.studies s WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = split_part(s.study_name, '/', 1))"
_OF_TRIALS = ("trial_heartbeats", "trial_intermediate_values", "trial_params", "trial_system_attributes", "trial_user_attributes", "trial_values")  # fmt: skip
_OF_STUDIES = ("trials", "study_directions", "study_system_attributes", "study_user_attributes", "studies")
_LOCK = 7_266_266_264


def study_name(search_id: str, chooser: str) -> str:
    """The name of a search's study for one of its choosers: `job_…/fold0`."""
    return f"{search_id}/{chooser}"


def part_jobs(session: AnySession, parent_id: str, role: str) -> dict[int, Job]:
    """Jobs that a job made in one role, by their number, in order."""
    query = (
        select(JobPart.number, Job)
        .join(Job, Job.id == JobPart.job_id)
        .where(JobPart.parent_id == parent_id, JobPart.role == role)
        .order_by(JobPart.number)
        .execution_options(populate_existing=True)
    )
    return {number: job for number, job in session.execute(query)}


def trial_page(session: AnySession, search_id: str, after: int, limit: int) -> Sequence[tuple[int, Job]]:
    """Trials of a search with a number above `after`, in order."""
    query = (
        select(JobPart.number, Job)
        .join(Job, Job.id == JobPart.job_id)
        .where(JobPart.parent_id == search_id, JobPart.role == "trial", JobPart.number > after)
    )
    return [(number, job) for number, job in session.execute(query.order_by(JobPart.number).limit(limit))]


def make_part(
    session: WriteSession, parent: Job, role: str, number: int, kind: str, params: dict[str, Any]
) -> Job:
    """The job that a job has in a role under a number: made now unless there is one already.

    `parent` must be locked by the caller's transaction, so that nobody else makes it at the same time.
    """
    place = session.get(JobPart, (parent.id, role, number))
    if place is not None:
        return session.get_one(Job, place.job_id)
    job = create_job(session, kind, parent.corpus_id, params, parent.created_by)
    session.add(JobPart(parent_id=parent.id, role=role, number=number, job_id=job.id))
    session.flush()
    return job


def remove_orphaned_studies(session: WriteSession) -> int:
    """Remove what Optuna knows of searches that are gone; gives the number of studies."""
    connection = session.connection()
    if connection.execute(text(f"SELECT to_regclass('{SCHEMA}.trials')")).scalar_one() is None:
        return 0
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    studies = list(connection.execute(text(_ORPHANS)).scalars())
    if not studies:
        return 0
    for table in _OF_TRIALS:
        of_them = f"SELECT trial_id FROM {SCHEMA}.trials WHERE study_id = ANY(:studies)"
        connection.execute(
            text(f"DELETE FROM {SCHEMA}.{table} WHERE trial_id IN ({of_them})"),
            {"studies": studies},  # noqa: S608  # constants
        )
    for table in _OF_STUDIES:
        connection.execute(
            text(f"DELETE FROM {SCHEMA}.{table} WHERE study_id = ANY(:studies)"),
            {"studies": studies},  # noqa: S608  # constants
        )
    return len(studies)
