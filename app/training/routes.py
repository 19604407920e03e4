"""Train jobs over HTTP: what would be trained on, and the POST that makes a job. The rest is app.jobs.routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.corpora.queries import corpus_for
from app.corpora.snapshots import Frozen, current_labels
from app.db.session import AnySession
from app.db.tables import Corpus
from app.http.database import WriteDB
from app.http.documented import problems
from app.http.idempotency import Idempotent, Replay
from app.http.security import Admin
from app.jobs.queries import create_job
from app.jobs.routes import job_router
from app.jobs.schemas import JobDocument, accepted_headers, job_document
from app.settings import get_settings
from app.training.base_models import check_base_model, check_device
from app.training.estimates import Chosen, answer_dry_run, known_estimate
from app.training.generative import accept_generative
from app.training.generative_rules import check_tasks
from app.training.generative_schemas import GenerativePreview
from app.training.measurements import answered
from app.training.methods import check_method
from app.training.plan import selection_for
from app.training.rules import check, option_counts
from app.training.schemas import OptionCountAnswer, TrainingPreview, TrainJobRequest
from app.training.search_routes import checked_search, start_search
from models.scheme import MISSING

router = APIRouter()
DryRun = Annotated[
    bool,
    Query(
        description="Check the request, count what it would train on and estimate what it would take; store nothing of it. Waits for a short "
        "measurement where none of the last day is at hand."
    ),
]


@router.post(
    "/train-jobs",
    status_code=202,
    tags=["train-jobs"],
    summary="Train an adapter",
    operation_id="create_train_job",
    response_model=JobDocument,
    responses={
        200: {
            "model": TrainingPreview | GenerativePreview,
            "description": "With dry_run: what would be trained on.",
        },
        **problems(404, 409, 422),
    },
)
def train(
    body: TrainJobRequest, db: WriteDB, caller: Admin, idempotent: Idempotent, dry_run: DryRun = False
) -> Response:
    """Trains on the corpus's labels of now: held-out folds, both baselines, a final fit, calibration and report."""
    corpus = corpus_for(db, body.corpus, caller, "/corpus")
    check_tasks(body)
    if body.search is not None:
        checked_search(body, get_settings())
    if body.task != "classify":
        return accept_generative(db, body, corpus, caller.name, idempotent, dry_run=dry_run)
    folder = check_base_model(body.base_model, get_settings())
    check_method(body, folder, get_settings())
    check_device(body.device, get_settings())
    preview, chosen = _preview(db, body, corpus, current_labels(db, corpus.id))
    if dry_run:
        preview.estimate, found = answer_dry_run(db, body, corpus.id, chosen, caller.name)
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(answered(preview, found))
    if body.search is not None:
        job = start_search(db, body, corpus, preview.warnings, caller.name)
        return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))
    params = body.model_dump(mode="json") | {"warnings": preview.warnings}
    params["estimate"] = known_estimate(db, body, corpus.id, chosen)
    job = create_job(db, "train", corpus.id, params, caller.name)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))


def _preview(
    db: AnySession, body: TrainJobRequest, corpus: Corpus, frozen: Frozen
) -> tuple[TrainingPreview, Chosen]:
    frame = frozen.frame
    selection = selection_for(
        db,
        body,
        corpus.id,
        frozen.codebook.scheme,
        frozen.values,
        frame["text_id"].to_numpy(),
        frame["external_id"].to_list(),
        frame["split"].to_list(),
    )
    groups = frame["group"].n_unique()
    warnings = check(selection, groups, None if body.folds == "auto" else body.folds, body.options)
    version_ids = frame["text_version_id"].to_numpy()[selection.rows].tolist()
    chosen = Chosen(version_ids, len(selection.scheme.options), groups)
    return TrainingPreview(
        corpus_id=corpus.id,
        texts=len(frame),
        rows=len(selection.rows),
        groups=groups,
        cells=int((selection.labels != MISSING).sum()),
        options=[OptionCountAnswer.model_validate(count) for count in option_counts(selection)],
        warnings=warnings,
    ), chosen


router.include_router(job_router("train", "/train-jobs"))
