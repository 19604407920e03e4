"""POST /evaluations with its job routes, and what an evaluation found as JSON or as a page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from app.blobs import BlobStore
from app.corpora.codebook import load_codebook
from app.corpora.queries import corpus_for
from app.corpora.text_queries import get_sample
from app.db.session import AnySession, WriteSession
from app.db.tables import Adapter, Corpus, Evaluation
from app.evaluations.generative import generative_params, task_of
from app.evaluations.items import items_csv, items_json, read_items
from app.evaluations.queries import find_evaluation, has_split
from app.evaluations.schemas import EvaluationBody
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Admin, Principal, Reader, check_scope
from app.jobs.queries import create_job
from app.jobs.routes import JobId, job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.pages.box_plots import drawing
from app.pages.reports import evaluation_page, wants_page
from app.relabelling.queries import scheme_options
from app.relabelling.rules import check_adapter
from app.settings import get_settings
from app.training.base_models import check_base_model

router = APIRouter(tags=["evaluations"])
router.include_router(job_router("evaluate", "/evaluations"))
Accept = Annotated[str, Header(description="`text/html` for a page; JSON otherwise.", max_length=1000)]
SVG, CSV, JSON_LINES = "image/svg+xml", "text/csv", "application/x-ndjson"
SVG_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "private, no-store",
}
PAGE_OR_JSON: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As asked for by Accept.",
        "content": {"application/json": {}, "text/html": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/evaluations",
    status_code=202,
    summary="Evaluate an adapter or a base model",
    response_model=JobDocument,
    responses=problems(403, 404, 409, 422),
)
def evaluate(body: EvaluationBody, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """Reads labelled texts with models that have not seen them and holds the answers against the labels of now.

    Texts that every model of the adapter has seen are left out and counted. Always-no, the untrained base model and, where
    named, a second adapter stand beside it, with paired tests.

    With `summarize`: summaries of held-out texts beside people's, by adapter, base model and extractive methods. With
    `causal`: perplexity of held-out documents under adapter and base model. Where named, a second adapter beside them.
    docs/evaluation.md says how.
    """
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    # Before anything else is said: a key learns nothing of what it may not reach.
    named = {
        field: _reached(db, wanted, caller, f"/{field}")
        for field, wanted in (("adapter", body.adapter), ("compare_with", body.compare_with))
        if wanted is not None
    }
    task = task_of(body, named.get("adapter"))
    if task == "classify":
        params = _classification(db, body, corpus, caller)
    else:
        params = generative_params(db, body, corpus, named, task)
    job = create_job(db, "evaluate", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


def _classification(
    db: WriteSession, body: EvaluationBody, corpus: Corpus, caller: Principal
) -> dict[str, Any]:
    """The parameters of a job that evaluates options."""
    _check_texts(db, body, corpus)
    adapter = None
    if body.base is None:
        adapter = _adapter(db, corpus, body.adapter or corpus.promoted_adapter_id, caller, "/adapter")
    else:
        check_base(body.base)
    other = None
    if body.compare_with is not None:
        other = _adapter(db, corpus, body.compare_with, caller, "/compare_with")
    if adapter is not None and other is not None and adapter.id == other.id:
        raise Invalid("An adapter is not compared with itself.", field="/compare_with", slug="same-adapter")
    return body.job_params(adapter.id if adapter else None, other.id if other else None)


@router.get(
    "/evaluations/{job_id}/report",
    summary="What an evaluation found",
    response_model=dict[str, Any],
    responses={**PAGE_OR_JSON, **problems(404)},
)
def report(request: Request, db: ReadDB, caller: Reader, job_id: JobId, accept: Accept = "*/*") -> Any:
    """Scores with intervals by group, curves, paired tests, how much was held out, what was left out and the snapshot's id."""
    found = find_evaluation(db, job_id, caller)
    if wants_page(accept):
        return evaluation_page(request, caller, db, found)
    return {"job_id": found.job_id, "created_at": found.created_at.isoformat(), **found.document}


@router.get(
    "/evaluations/{job_id}/box-plots.svg",
    summary="Box plots of an evaluation",
    response_class=Response,
    responses={
        200: {"description": "An SVG drawing.", "content": {SVG: {"schema": {"type": "string"}}}},
        **problems(404, 409),
    },
)
def box_plots(db: ReadDB, caller: Reader, job_id: JobId) -> Response:
    """The scores of every item as a box per model and method, for summaries and causal models: for reports and print."""
    found = _generative(find_evaluation(db, job_id, caller))
    headers = {"Content-Disposition": f'inline; filename="{job_id}-box-plots.svg"', **SVG_HEADERS}
    return Response(drawing(found.document), media_type=SVG, headers=headers)


@router.get(
    "/evaluations/{job_id}/items",
    summary="Every item of an evaluation",
    response_class=Response,
    responses={
        200: {
            "description": "CSV, or JSON lines: a line per item, model and method.",
            "content": {CSV: {"schema": {"type": "string"}}, JSON_LINES: {"schema": {"type": "string"}}},
        },
        **problems(404, 409),
    },
)
def items(
    db: ReadDB,
    caller: Reader,
    job_id: JobId,
    format: Annotated[
        Literal["csv", "jsonl"], Query(description="csv, or jsonl: one object a line.")
    ] = "csv",
) -> Response:
    """What was written of each item, and its scores, for summaries; losses, tokens and perplexity for causal models."""
    found = _generative(find_evaluation(db, job_id, caller))
    if found.items_blob is None:
        raise Conflict(
            "The items went with the document set they came from; the report still has the numbers.",
            field="job_id",
            slug="items-gone",
        )
    frame = read_items(BlobStore(get_settings().blob_root).path(found.items_blob))
    name = f"{job_id}-items.{format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    if format == "csv":
        return Response(items_csv(frame), media_type=CSV, headers=headers)
    return Response(items_json(frame), media_type=JSON_LINES, headers=headers)


def _generative(found: Evaluation) -> Evaluation:
    """Conflict for an evaluation of options, whose items and curves are elsewhere."""
    if found.task == "classify":
        raise Conflict(
            "This is an evaluation of options: its curves are on its page and in its report.",
            field="job_id",
            slug="wrong-task",
        )
    return found


def check_base(name: str) -> None:
    """Invalid, naming /base, for a base model that is unknown, cannot be had here or is no encoder."""
    try:
        check_base_model(name, get_settings())
    except Invalid as problem:
        problem.field = "/base"
        raise


def _check_texts(db: AnySession, body: EvaluationBody, corpus: Corpus) -> None:
    load_codebook(db, corpus.id)  # Conflict where there is none: nothing can be labelled
    if body.split is not None and not has_split(db, corpus.id, body.split):
        raise Invalid(f"No text has the given split {body.split!r}.", field="/split", slug="unknown-split")
    if body.sample is not None and get_sample(db, corpus.id, body.sample) is None:
        raise Invalid(f"The corpus has no sample {body.sample!r}.", field="/sample", slug="unknown-sample")


def _adapter(db: AnySession, corpus: Corpus, wanted: str | None, caller: Principal, field: str) -> Adapter:
    if wanted is None:
        raise Conflict(
            f"The corpus {corpus.name!r} has no promoted adapter: name one as `adapter`, or a base model as `base`.",
            field=field,
            slug="no-promoted-adapter",
        )
    found = _reached(db, wanted, caller, field)
    try:
        check_adapter(
            found.task, found.corpus_id, corpus.id, found.option_keys, scheme_options(db, corpus.id)
        )
    except (Conflict, Invalid) as problem:
        problem.field = field
        raise
    return found


def _reached(db: AnySession, wanted: str, caller: Principal, field: str) -> Adapter:
    """An adapter that the key reaches; NotFound otherwise."""
    found = db.get(Adapter, wanted)
    if found is None:
        raise NotFound(f"There is no adapter {wanted!r}.", field=field)
    check_scope(caller, found.corpus_id)
    return found
