"""POST /summary-jobs with its job routes; runs, and the summaries of a run as pages and as a file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from app.corpora.queries import corpus_for
from app.db.session import AnySession
from app.db.tables import SummaryRun
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor, newest_before, newest_cursor
from app.http.problems import Invalid, NotFound
from app.http.security import Admin, Principal, Reader
from app.ids import number_of
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.summaries import exports
from app.summaries.job_schemas import (
    SummaryExport,
    SummaryFilters,
    SummaryJobBody,
    SummaryListing,
    SummaryPage,
    SummaryRunAnswer,
    run_answer,
    summary_answer,
)
from app.summaries.queries import find_summary_run, list_summaries, list_summary_runs, writer_of
from app.summaries.rules import check_embedder, check_wishes, decoding_of, recipe_of

router = APIRouter()
router.include_router(job_router("summary", "/summary-jobs"))
CorpusName = Annotated[
    str | None, Query(max_length=200, description="Id or name; default: the key's own corpus.")
]
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file, as it is read.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "/summary-jobs",
    status_code=202,
    summary="Summarize a corpus",
    response_model=JobDocument,
    responses=problems(403, 404, 409, 422),
)
def make_summary_job(body: SummaryJobBody, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """Starts a job that summarizes every text of the corpus as it is now. It can be paused, and goes on where it was stopped."""
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    check_wishes(body)
    writer = writer_of(db, caller, body, corpus.id)
    params = recipe_of(body, writer)
    if writer is None:
        embedder = body.base_model or "minilm"
        check_embedder(embedder, "/base_model")
        params |= {"embedder": embedder}
    else:
        params |= {"decoding": decoding_of(body), "embedder": body.embedder}
        params |= {"adapter": writer.adapter} if writer.adapter else {"base_model": body.base_model}
    job = create_job(db, "summary", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


@router.get("/summary-runs", summary="List summary runs", responses=problems(404, 422))
def summary_runs(
    caller: Reader, db: ReadDB, corpus: CorpusName = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[SummaryRunAnswer]:
    """Runs, newest first."""
    only = corpus_for(db, corpus, caller, "corpus").id if corpus is not None else caller.corpus_id
    kind = f"summary-runs:{only}"
    found = list_summary_runs(db, only, newest_before(cursor, kind), limit + 1)
    page = found[:limit]
    following = newest_cursor(kind, page[-1].created_at, page[-1].id) if len(found) > limit else None
    return Page(items=[run_answer(run) for run in page], next_cursor=following)


@router.get("/summaries", summary="Summaries of a run", responses=problems(404, 422))
def summaries(asked: Annotated[SummaryListing, Query()], caller: Reader, db: ReadDB) -> SummaryPage:
    """In the order of the texts, with what the texts do not support. A walk along `next_cursor` gives each text of the run once, also
    while its job is at work and texts are edited; what the job writes later comes after the last page."""
    run = _run(db, asked, caller)
    if run is None:
        return SummaryPage(items=[])
    kind = f"summaries-by-text:{run.id}"
    after = int(decode_cursor(asked.cursor, kind)[0]) if asked.cursor is not None else 0
    found = list(list_summaries(db, run.id, after=after, limit=asked.limit + 1, **_filters(asked)))
    page = found[: asked.limit]
    following = encode_cursor(kind, [page[-1].text_id]) if len(found) > asked.limit else None
    return SummaryPage(
        items=[summary_answer(row) for row in page],
        next_cursor=following,
        run_id=run.id,
        finished=run.watermark == run.text_count,
    )


@router.get(
    "/summaries/export",
    summary="Export summaries",
    response_class=StreamingResponse,
    responses=_FILE | problems(404, 422),
)
def export_summaries(asked: Annotated[SummaryExport, Query()], caller: Reader, db: ReadDB) -> Response:
    """The summaries of a run as a file."""
    run = _run(db, asked, caller)
    if run is None:
        return exports.empty(asked.format)
    return exports.summaries(run.id, asked.format, _filters(asked), with_text=asked.with_text)


def _run(db: AnySession, asked: SummaryFilters, caller: Principal) -> SummaryRun | None:
    """The run asked for; None where none was named and there is none yet."""
    wanted = asked.corpus or caller.corpus_id
    if wanted is None:
        raise Invalid("Say which corpus: `corpus` (id or name).", field="corpus", slug="corpus-missing")
    corpus = corpus_for(db, wanted, caller, "corpus")
    try:
        return find_summary_run(db, corpus.id, asked.run)
    except NotFound:
        if asked.run is not None:
            raise
        return None


def _filters(asked: SummaryFilters) -> dict[str, Any]:
    number = None if asked.text_id is None else number_of("txt", asked.text_id)
    if asked.text_id is not None and number is None:
        raise NotFound(f"There is no text {asked.text_id!r}.", field="text_id")
    return asked.model_dump(include={"min_supported", "max_supported", "without"}) | {"text_id": number}
