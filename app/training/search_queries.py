"""SQL of searches: the jobs that they made, and the studies that Optuna keeps in its own schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, text

from app.db.session import AnySession, WriteSession
from app.db.tables import Job, JobEvent, JobPart
from app.jobs.queries import create_job

SCHEMA = "optuna"
"""Optuna's tables have a schema of their own: its migrations use Alembic's default version table, as ours do."""

_ORPHANS = """
    SELECT s.study_id FROM optuna.studies s
    WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = split_part(s.study_name, '/', 1))
    """
_OF_THEM = "trial_id IN (SELECT trial_id FROM optuna.trials WHERE study_id = ANY(:studies))"
_REMOVALS = (
    f"DELETE FROM optuna.trial_heartbeats WHERE {_OF_THEM}",  # noqa: S608  # constants, here and below
    f"DELETE FROM optuna.trial_intermediate_values WHERE {_OF_THEM}",  # noqa: S608
    f"DELETE FROM optuna.trial_params WHERE {_OF_THEM}",  # noqa: S608
    f"DELETE FROM optuna.trial_system_attributes WHERE {_OF_THEM}",  # noqa: S608
    f"DELETE FROM optuna.trial_user_attributes WHERE {_OF_THEM}",  # noqa: S608
    f"DELETE FROM optuna.trial_values WHERE {_OF_THEM}",  # noqa: S608
    "DELETE FROM optuna.trials WHERE study_id = ANY(:studies)",
    "DELETE FROM optuna.study_directions WHERE study_id = ANY(:studies)",
    "DELETE FROM optuna.study_system_attributes WHERE study_id = ANY(:studies)",
    "DELETE FROM optuna.study_user_attributes WHERE study_id = ANY(:studies)",
    "DELETE FROM optuna.studies WHERE study_id = ANY(:studies)",
)
"""Optuna's foreign keys do not cascade."""
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
    return {row[0]: row[1] for row in session.execute(query)}


def trial_page(session: AnySession, search_id: str, after: int, limit: int) -> Sequence[tuple[int, Job]]:
    """Trials of a search with a number above `after`, in order."""
    query = (
        select(JobPart.number, Job)
        .join(Job, Job.id == JobPart.job_id)
        .where(JobPart.parent_id == search_id, JobPart.role == "trial", JobPart.number > after)
    )
    return [(row[0], row[1]) for row in session.execute(query.order_by(JobPart.number).limit(limit))]


def trial_epochs(session: AnySession, trial_id: str) -> list[dict[str, Any]]:
    """Every epoch that a trial has told of, in order; one that was read again after a restart stands there once."""
    query = select(JobEvent.data).where(JobEvent.job_id == trial_id, JobEvent.kind == "epoch")
    found = {
        (data["chooser"], data["member"], data["epoch"]): data
        for data in session.scalars(query.order_by(JobEvent.number))
    }
    return list(found.values())


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
    if session.execute(text("SELECT to_regclass('optuna.trials')")).scalar_one() is None:
        return 0
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    studies = list(session.execute(text(_ORPHANS)).scalars())
    for statement in _REMOVALS if studies else ():
        session.execute(text(statement), {"studies": studies})
    return len(studies)
