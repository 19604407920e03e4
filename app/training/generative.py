"""POST /train-jobs for the tasks causal and summarize."""

from __future__ import annotations

from fastapi import Response

from app.blobs import BlobStore
from app.db.session import WriteSession
from app.db.tables import Corpus
from app.http.idempotency import Idempotency, Replay
from app.jobs.queries import create_job
from app.jobs.schemas import accepted_headers, job_document
from app.settings import get_settings
from app.training.base_models import check_device
from app.training.generative_estimates import answer_dry_run, known_estimate
from app.training.generative_queries import sized_documents
from app.training.generative_rules import check_generative_base, check_sensitive
from app.training.generative_schemas import GenerativePreview
from app.training.measurements import answered
from app.training.schemas import TrainJobRequest

CHARACTERS_PER_TOKEN = 4


def accept_generative(
    db: WriteSession, body: TrainJobRequest, corpus: Corpus, actor: str, idempotent: Idempotency, *, dry_run: bool
) -> Response:  # fmt: skip
    """Check a generative train job and make it, or with `dry_run` answer what it would learn from and take."""
    assert body.task != "classify"
    settings = get_settings()
    check_sensitive(body.task, sensitive=corpus.sensitive)
    check_device(body.device, settings)
    check_generative_base(body.base_model, body.task, settings)
    documents = sized_documents(db, BlobStore(settings.blob_root), corpus, body)
    characters = sum(document.characters for document in documents)
    preview = GenerativePreview(
        corpus_id=corpus.id,
        task=body.task,
        documents=len(documents),
        characters=characters,
        approximate_tokens=characters // CHARACTERS_PER_TOKEN,
        warnings=[],
    )
    if dry_run:
        preview.estimate, found = answer_dry_run(db, body, corpus.id, documents, actor)
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(answered(preview, found))
    params = body.model_dump(mode="json") | {"warnings": preview.warnings}
    params["estimate"] = known_estimate(db, body, corpus.id, documents)
    job = create_job(db, "train", corpus.id, params, actor)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))
