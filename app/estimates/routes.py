"""POST /estimates with its job routes, what was found as JSON or as a page, and the replication package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from app.blobs import BlobStore
from app.corpora.queries import corpus_for
from app.db.session import AnySession, writing
from app.db.tables import AuditSample, Corpus, RelabelRun
from app.estimates.panel import check_frames, load_panel, read_by_all
from app.estimates.queries import (
    check_definitions,
    column_names,
    find_estimates,
    group_names,
    run_for,
    samples_for,
)
from app.estimates.rules import analyses_of, check_names, labels_at_stake, preview
from app.estimates.schemas import AnalysisPreview, EstimatesBody, EstimatesPreview
from app.http.database import ReadDB, WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent, Replay
from app.http.problems import Invalid
from app.http.security import Admin, Reader
from app.jobs.queries import create_job
from app.jobs.routes import JobId, job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.pages.errors import wants_page
from app.pages.estimates import estimates_page
from app.relabelling.queries import scheme_options
from app.review import sightings
from app.settings import get_settings
from models.estimates.preparing import prepare

router = APIRouter(tags=["estimates"])
router.include_router(job_router("estimates", "/estimates"))
Accept = Annotated[str, Header(description="`text/html` for a page; JSON otherwise.", max_length=1000)]
DryRun = Annotated[
    bool, Query(description="Only tell which analyses could be answered; nothing is estimated or stored.")
]
PAGE_OR_JSON: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "As asked for by Accept.",
        "content": {"application/json": {}, "text/html": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/estimates",
    status_code=202,
    summary="Estimate prevalences, differences and regressions",
    operation_id="create_estimates",
    response_model=JobDocument,
    responses={
        200: {"model": EstimatesPreview, "description": "With dry_run: what could be answered."},
        **problems(403, 404, 409, 422),
    },
)
def estimate(
    body: EstimatesBody, caller: Admin, db: WriteDB, idempotent: Idempotent, dry_run: DryRun = False
) -> Response:
    """Valid intervals from all texts' student labels and held-out probabilities together with a closed, blind audit sample.

    Several audit samples (`audit_samples`) are used together: each text's weight is shared between those whose frame has it, in
    proportion to the part of its frame that each drew. Labels may be outcome or covariate. Analyses with too few events or clusters are refused, each with its reason; the naive
    estimate, from student labels taken as they are, stands beside the others.
    """
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    samples = samples_for(db, corpus, body.audit_sample, body.audit_samples)
    run = run_for(db, corpus, body.run)
    check_names(body, read_by_all(samples), scheme_options(db, corpus.id), column_names(db, corpus.id))
    params = body.model_dump(mode="json") | {
        "audit_sample": samples[-1].id,
        "audit_samples": [sample.id for sample in samples],
        "run": None if run is None else run.id,
        "cluster_by": _cluster_key(db, corpus, body),
    }
    del params["corpus"]
    check_definitions(db, samples, labels_at_stake(analyses_of(params["analyses"], read_by_all(samples))))
    check_frames(BlobStore(get_settings().blob_root), samples)
    if dry_run:
        found = _preview(db, samples, run, params)
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(JSONResponse(found.model_dump(mode="json")))
    job = create_job(db, "estimates", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


@router.get(
    "/estimates/{job_id}/report",
    summary="What was estimated",
    response_model=dict[str, Any],
    responses={**PAGE_OR_JSON, **problems(404)},
)
def report(request: Request, db: ReadDB, caller: Reader, job_id: JobId, accept: Accept = "*/*") -> Any:
    """Every analysis with its estimates, intervals, counts and the naive estimates, or the reason for its refusal; the methods in words."""
    found = find_estimates(db, job_id, caller)
    if wants_page(accept):
        return estimates_page(request, caller, db, found)
    return {"job_id": found.job_id, "created_at": found.created_at.isoformat(), **found.document}


@router.get(
    "/estimates/{job_id}/package",
    summary="Download the replication package",
    response_class=FileResponse,
    responses={
        200: {"description": "A zip without any text.", "content": {"application/zip": {}}},
        **problems(404),
    },
)
def package(caller: Admin, job_id: JobId) -> FileResponse:
    """Per-text data under hashed ids, scripts for R and Python that reproduce the numbers, methods, citation and checksums.

    Columns that analyses named are in it as they are: look through them before it is given away.
    """
    with writing() as session:
        found = find_estimates(session, job_id, caller)
        sightings.record_texts(session, caller, found.corpus_id, None)
        digest = found.package_blob
    path = BlobStore(get_settings().blob_root).path(digest)
    return FileResponse(path, media_type="application/zip", filename=f"{job_id}.zip")


def _cluster_key(db: AnySession, corpus: Corpus, body: EstimatesBody) -> str | None:
    """What errors are clustered by: as the body says, else the corpus's fold group where its texts have it."""
    known = group_names(db, corpus.id)
    if body.clusters_named and body.cluster_by is not None and body.cluster_by not in known:
        raise Invalid(
            f"No text has the grouping key {body.cluster_by!r}: {', '.join(sorted(known)) or 'its texts have none'}.",
            field="/cluster_by",
            slug="unknown-column",
        )
    if body.clusters_named:
        return body.cluster_by
    return corpus.fold_group if corpus.fold_group in known else None


def _preview(
    db: AnySession, samples: Sequence[AuditSample], run: RelabelRun | None, params: dict[str, Any]
) -> EstimatesPreview:
    loaded = load_panel(db, BlobStore(get_settings().blob_root), samples, run, params)
    return EstimatesPreview(
        corpus_id=samples[-1].corpus_id,
        audit_sample=params["audit_sample"],
        audit_samples=params["audit_samples"],
        run=params["run"],
        cluster_by=params["cluster_by"],
        drawn=int(loaded.panel.drawn[: loaded.frame].sum()),
        frame=loaded.frame,
        analyses=[
            AnalysisPreview(**preview(number, prepare(loaded.panel, analysis)))
            for number, analysis in enumerate(loaded.analyses, start=1)
        ],
    )
