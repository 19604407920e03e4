"""POST /relabel-jobs with its job routes, GET /corpora/{id}/predictions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.corpora.queries import corpus_for
from app.corpora.routes import CorpusRef
from app.db.session import WriteSession
from app.db.tables import Adapter, Corpus
from app.http.database import WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from app.http.problems import Conflict, NotFound
from app.http.security import Admin, Principal, Reader, check_scope
from app.ids import number_of
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.relabelling import ranking_routes
from app.relabelling.queries import (
    find_run,
    has_text,
    list_predictions,
    scheme_options,
    text_predictions,
)
from app.relabelling.rules import check_adapter
from app.relabelling.schemas import (
    PredictionAnswer,
    RelabelBody,
    prediction_answer,
)
from app.review import sightings

router = APIRouter(tags=["relabelling"])
router.include_router(job_router("relabel", "/relabel-jobs"))
router.include_router(ranking_routes.router)


@router.post(
    "/relabel-jobs",
    status_code=202,
    summary="Read a corpus again",
    response_model=JobDocument,
    responses=problems(403, 404, 409, 422),
)
def make_relabel_job(body: RelabelBody, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """Starts a job that freezes the labels, reads every text with models that have not seen it, and ranks the labels by suspicion."""
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    adapter = _adapter(db, corpus, body.adapter, caller)
    check_adapter(
        adapter.task, adapter.corpus_id, corpus.id, adapter.option_keys, scheme_options(db, corpus.id)
    )
    params = {"adapter": adapter.id} | ({"decoys": body.decoys} if body.decoys else {})
    job = create_job(db, "relabel", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


def _adapter(session: WriteSession, corpus: Corpus, adapter: str | None, caller: Principal) -> Adapter:
    wanted = adapter or corpus.promoted_adapter_id
    if wanted is None:
        raise Conflict(
            f"The corpus {corpus.name!r} has no promoted adapter: train one, or name one as `adapter`.",
            field="/adapter",
            slug="no-promoted-adapter",
        )
    found = session.get(Adapter, wanted)
    if found is None:
        raise NotFound(f"There is no adapter {wanted!r}.", field="/adapter")
    check_scope(caller, found.corpus_id)
    return found


@router.get("/corpora/{corpus_id}/predictions", summary="Predictions of a run", responses=problems(404, 422))
def predictions(
    corpus_id: CorpusRef,
    caller: Reader,
    db: WriteDB,
    run: Annotated[
        str | None, Query(max_length=100, description="Relabel run; default: the newest finished one.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PredictionAnswer]:
    """Calibrated probabilities of every text of a run, by text."""
    corpus = corpus_for(db, corpus_id, caller)
    found_run = find_run(db, corpus.id, run)
    kind = f"predictions:{found_run.id}"
    after = int(decode_cursor(cursor, kind)[0]) if cursor is not None else 0
    found = list_predictions(db, found_run.id, after, limit + 1)
    page = found[:limit]
    following = encode_cursor(kind, [page[-1][0].text_version_id]) if len(found) > limit else None
    sightings.record_texts(db, caller, corpus.id, [row[1] for row in page])
    items = [
        prediction_answer(prediction, found_run, version, number, external)
        for prediction, number, external, version in page
    ]
    return Page(items=items, next_cursor=following)


@router.get(
    "/corpora/{corpus_id}/texts/{text_id}/predictions",
    summary="Predictions of a text",
    responses=problems(404),
)
def predictions_of_text(
    corpus_id: CorpusRef,
    text_id: Annotated[str, Path(max_length=40, examples=["txt_42"])],
    caller: Reader,
    db: WriteDB,
) -> list[PredictionAnswer]:
    """What each run said about one text, newest run first."""
    corpus = corpus_for(db, corpus_id, caller)
    number = number_of("txt", text_id)
    if number is None or not has_text(db, corpus.id, number):
        raise NotFound(f"The corpus has no text {text_id!r}.", field="text_id")
    sightings.record_texts(db, caller, corpus.id, [number])
    return [
        prediction_answer(prediction, run, version, number)
        for prediction, run, version in text_predictions(db, corpus.id, number)
    ]
