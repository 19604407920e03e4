"""POST /train-jobs for the tasks causal and summarize."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse

from app.blobs import BlobStore
from app.db.session import WriteSession
from app.db.tables import Corpus
from app.http.idempotency import Idempotency, Replay
from app.jobs.queries import create_job
from app.jobs.schemas import accepted_headers, job_document
from app.settings import get_settings
from app.training.base_models import check_device
from app.training.generative_queries import count_documents
from app.training.generative_rules import check_generative_base, check_sensitive
from app.training.generative_schemas import GenerativePreview
from app.training.schemas import TrainJobRequest

CHARACTERS_PER_TOKEN = 4


def accept_generative(
    db: WriteSession, body: TrainJobRequest, corpus: Corpus, actor: str, idempotent: Idempotency, *, dry_run: bool
) -> Response:  # fmt: skip
    """Check a generative train job and make it, or with `dry_run` answer what it would learn from."""
    assert body.task != "classify"
    settings = get_settings()
    check_sensitive(body.task, sensitive=corpus.sensitive)
    check_device(body.device, settings)
    check_generative_base(body.base_model, body.task, settings)
    documents, characters = count_documents(db, BlobStore(settings.blob_root), corpus, body)
    preview = GenerativePreview(
        corpus_id=corpus.id,
        task=body.task,
        documents=documents,
        characters=characters,
        approximate_tokens=characters // CHARACTERS_PER_TOKEN,
        warnings=[],
    )
    if dry_run:
        # Raised, so that the transaction is rolled back and an Idempotency-Key stays free for the real request.
        raise Replay(JSONResponse(preview.model_dump(mode="json")))
    params = body.model_dump(mode="json") | {"warnings": preview.warnings}
    job = create_job(db, "train", corpus.id, params, actor)
    return idempotent.store(202, job_document(job).model_dump(mode="json"), accepted_headers(job))
