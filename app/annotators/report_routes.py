"""POST /annotator-reports with its job routes: teams judged by models that never saw a label of theirs."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.annotators.queries import codebook_versions
from app.annotators.schemas import ReportBody
from app.annotators.values import known_version
from app.corpora.queries import corpus_for
from app.http.database import WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent
from app.http.problems import Conflict
from app.http.security import Admin
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document

router = APIRouter(tags=["annotators"])
router.include_router(job_router("annotators", "/annotator-reports"))


@router.post(
    "/annotator-reports",
    status_code=202,
    summary="Judge each team by models fitted without it",
    operation_id="create_annotator_report",
    response_model=JobDocument,
    responses=problems(403, 404, 409, 422),
)
def report(body: ReportBody, caller: Admin, db: WriteDB, idempotent: Idempotent) -> Response:
    """For every team (or annotator, where no teams are named) a model learns the other teams' labels alone and reads the team's texts, held out.

    How often it agrees with the team stands beside how often the models without each other team agree with those, with intervals.
    The newest finished one is shown by GET /corpora/{id}/annotators.
    """
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    known = [row["name"] for row in codebook_versions(db, corpus.id)]
    version = known_version(known, body.codebook_version, "/codebook_version")
    if version is None:
        raise Conflict(
            f"Nobody has annotated texts of {corpus.name!r}: import annotations first.",
            field="/corpus",
            slug="no-annotations",
        )
    params = {"codebook_version": version, "seed": body.seed}
    job = create_job(db, "annotators", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))
