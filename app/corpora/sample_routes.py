"""Samples of texts over HTTP: the POST that draws one as a job, reports, texts with their inclusion probabilities, CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.engine import RowMapping

from app.corpora.queries import corpus_for
from app.corpora.routes import CorpusRef
from app.corpora.sample_queries import (
    elsewhere,
    find_sample,
    list_samples,
    predicted,
    predicting_run,
    run_for,
    sampled_blocks,
    sampled_texts,
)
from app.corpora.sample_rules import (
    USES_PREDICTIONS,
    USES_WORDS,
    check_fields,
    check_size,
    check_splits,
    places,
)
from app.corpora.sample_schemas import (
    SampleAnswer,
    SampledText,
    SampleEstimate,
    SampleRequest,
    SampleSummary,
    sample_answer,
    sample_summary,
)
from app.corpora.snapshots import current_labels
from app.db.session import AnySession, reading
from app.db.tables import Corpus
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent, Replay
from app.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor, newest_before, newest_cursor
from app.http.security import Admin, Reader
from app.ids import numbered
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.sheets import csv_block

router = APIRouter(tags=["samples"])
router.include_router(job_router("sample", "/sample-jobs"))
SampleId = Annotated[str, Path(max_length=100, examples=["smp_01k3zq5w0v8n2m4c6x7y9abc"])]
DryRun = Annotated[
    bool, Query(description="Check the request and count what it would draw from; store nothing.")
]
COLUMNS = ("place", "text_id", "external_id", "inclusion_probability", "certain", "stratum", "labelled")


@router.post(
    "/corpora/{corpus_id}/samples",
    status_code=202,
    summary="Draw a sample",
    response_model=JobDocument,
    responses={
        200: {"model": SampleEstimate, "description": "With dry_run: what would be drawn from."},
        **problems(404, 409, 413, 422),
    },
)
def make_sample(
    corpus_id: CorpusRef,
    body: SampleRequest,
    caller: Admin,
    db: WriteDB,
    idempotent: Idempotent,
    dry_run: DryRun = False,
) -> Response:
    """Draws texts on the labels of now and records them with their inclusion probabilities; the job's result names the sample."""
    corpus = corpus_for(db, corpus_id, caller)
    estimate = _estimate(db, body, corpus)
    if dry_run:
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(JSONResponse(estimate.model_dump(mode="json")))
    job = create_job(db, "sample", corpus.id, body.model_dump(mode="json", exclude_unset=True), caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


@router.get(
    "/corpora/{corpus_id}/samples", summary="List samples", operation_id="list_samples", responses=problems(404, 422)
)  # fmt: skip
def samples(
    corpus_id: CorpusRef, caller: Reader, db: ReadDB, limit: Limit = 50, cursor: Cursor = None
) -> Page[SampleSummary]:
    """Recorded samples of a corpus, newest first."""
    corpus = corpus_for(db, corpus_id, caller)
    kind = f"samples:{corpus.id}"
    before = newest_before(cursor, kind)
    found = list_samples(db, corpus.id, before, limit + 1)
    page, last = found[:limit], found[limit - 1] if len(found) > limit else None
    following = newest_cursor(kind, last.created_at, last.id) if last else None
    return Page(items=[sample_summary(sample) for sample in page], next_cursor=following)


@router.get("/samples/{sample_id}", summary="One sample", responses=problems(404))
def sample_(sample_id: SampleId, caller: Reader, db: ReadDB) -> SampleAnswer:
    """How a sample was drawn, and its report stratum by stratum."""
    return sample_answer(find_sample(db, sample_id, caller))


@router.get("/samples/{sample_id}/texts", summary="Texts of a sample", responses=problems(404, 422))
def texts(
    sample_id: SampleId, caller: Reader, db: ReadDB, limit: Limit = 50, cursor: Cursor = None
) -> Page[SampledText]:
    """Its texts with the inclusion probability of each, in the order of the sample."""
    sample = find_sample(db, sample_id, caller)
    kind = f"sample-texts:{sample.id}"
    after = int(decode_cursor(cursor, kind)[0]) if cursor is not None else 0
    found = sampled_texts(db, sample.id, after, limit + 1)
    page = found[:limit]
    following = encode_cursor(kind, [page[-1]["place"]]) if len(found) > limit else None
    return Page(items=[SampledText(**_fields(row), beginning=row["beginning"]) for row in page], next_cursor=following)  # fmt: skip


@router.get(
    "/samples/{sample_id}/export",
    summary="A sample as CSV",
    response_class=StreamingResponse,
    responses={
        **problems(404),
        200: {"description": "One row a text.", "content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)
def export(
    sample_id: SampleId,
    caller: Reader,
    db: ReadDB,
    with_text: Annotated[bool, Query(description="Also the texts' content.")] = False,
) -> Response:
    """Its texts with their inclusion probabilities; `certain` is 1 where a text was picked for its score."""
    sample = find_sample(db, sample_id, caller)
    corpus = db.get_one(Corpus, sample.corpus_id)
    columns = (*COLUMNS, "text") if with_text else COLUMNS

    def blocks() -> Iterator[bytes]:
        yield csv_block([columns])
        with reading() as session:
            for block in sampled_blocks(session, sample.id, with_text=with_text):
                rows = [_fields(row) | ({"text": row["content"]} if with_text else {}) for row in block]
                yield csv_block([[row[name] for name in columns] for row in rows])

    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", corpus.name).strip("-.") or corpus.id
    marks = f"{'sensitive-' if corpus.sensitive else ''}{'synthetic-' if corpus.synthetic else ''}"
    headers = {
        "Content-Disposition": f'attachment; filename="{stem}-{marks}{sample.id}.csv"',
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(blocks(), media_type="text/csv; charset=utf-8", headers=headers)


def _estimate(db: AnySession, body: SampleRequest, corpus: Corpus) -> SampleEstimate:
    """What the sample would be drawn from; a problem for everything that the job would stumble over."""
    check_fields(body)
    run = predicting_run(db, corpus.id, body.run) if body.strategy in USES_PREDICTIONS else None
    if run is None and body.run is not None:
        run_for(db, corpus.id, body.run)
    frozen = current_labels(db, corpus.id)
    splits = frozen.frame["split"].to_list()
    check_splits(body, splits)
    free = elsewhere(db, corpus.id, body, frozen.frame["text_id"].to_numpy())
    found = places(body, splits, frozen.values, free)
    read = None
    if run is not None:
        read = int((predicted(db, run.id, frozen.frame["text_version_id"].to_numpy()) & found.frame).sum())
    check_size(body, found, read)
    return SampleEstimate(
        corpus_id=corpus.id,
        strategy=body.strategy,
        size=body.size,
        frame=int(found.frame.sum()),
        labelled=int((found.frame & found.labelled).sum()),
        fitted=int(found.fit.sum()) if body.strategy in USES_WORDS else 0,
        predicted=read,
    )


def _fields(row: RowMapping) -> dict[str, object]:
    return {
        "place": row["place"],
        "text_id": numbered("txt", row["text_id"]),
        "external_id": row["external_id"],
        "inclusion_probability": row["inclusion"],
        "certain": row["inclusion"] is None,
        "stratum": row["stratum"],
        "labelled": row["labelled"],
    }
