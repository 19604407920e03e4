"""Searches over HTTP: their trials. The POST is that of train jobs; the rest is app.jobs.routes."""

from __future__ import annotations

from fastapi import APIRouter

from app.db.session import WriteSession
from app.db.tables import Corpus, Job
from app.http.database import ReadDB
from app.http.documented import problems
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from app.http.problems import Invalid
from app.http.security import Reader
from app.jobs.queries import create_job
from app.jobs.routes import JobId, find_job, job_router
from app.pages.searching import search_page, trial_job_page
from app.settings import Settings
from app.training.base_models import check_base_model
from app.training.methods import check_method
from app.training.schemas import TrainJobRequest
from app.training.search_queries import trial_page
from app.training.search_rules import check_search, trial_count
from app.training.search_schemas import Choice, TrialAnswer
from app.training.search_view import trial_answer

router = APIRouter()


def checked_search(body: TrainJobRequest, settings: Settings) -> int:
    """How many trials a request's search makes. Invalid, naming the place under /search, for one that cannot be made."""
    search = check_search(body)
    for name in ("base_model", "method", "target_modules"):
        dimension = search.space.get(name)
        for number, value in enumerate(dimension.values if isinstance(dimension, Choice) else ()):
            try:
                changed = body.model_copy(update={name: value})
                check_method(changed, check_base_model(changed.base_model, settings), settings)
            except Invalid as problem:
                problem.field = f"/search/space/{name}/values/{number}"
                raise
    return trial_count(search)


def start_search(
    db: WriteSession, body: TrainJobRequest, corpus: Corpus, warnings: list[str], created_by: str | None
) -> Job:
    """The search job of a checked request."""
    params = body.model_dump(mode="json") | {"warnings": warnings}
    return create_job(db, "search", corpus.id, params, created_by)


@router.get(
    "/searches/{job_id}/trials",
    tags=["searches"],
    summary="List the trials of a search",
    operation_id="list_trials_of_search",
    responses=problems(404, 422),
)
def trials(
    db: ReadDB, caller: Reader, job_id: JobId, limit: Limit = 100, cursor: Cursor = None
) -> Page[TrialAnswer]:
    """Every trial in the order they were made: what it tries, how it stands, its score on the inner split of each fold, and whether it was ended early."""
    job = find_job(db, job_id, "search", caller)
    name = f"trials of {job.id}"
    after = int(decode_cursor(cursor, name)[0]) if cursor is not None else -1
    found = trial_page(db, job.id, after, limit + 1)
    chosen = (job.checkpoint or {}).get("chosen")
    return Page(
        items=[trial_answer(number, trial, chosen) for number, trial in found[:limit]],
        next_cursor=encode_cursor(name, [found[limit - 1][0]]) if len(found) > limit else None,
    )


router.include_router(job_router("search", "/searches", search_page))
router.include_router(job_router("trial", "/trials", trial_job_page))
