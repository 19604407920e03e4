"""A generative train job (task causal or summarize): documents into the training folder, training with checkpoints, registration."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.adapters.queries import NewAdapter, register_adapter
from app.corpora.queries import drop_unregistered, find_corpus
from app.db.session import WriteSession, reading, writing
from app.http.problems import Problem
from app.settings import get_settings
from app.training.folder import write_generative_folder
from app.training.generative_queries import documents_of
from app.training.generative_rules import check_sensitive, generative_request
from app.training.schemas import TrainJobRequest
from workers.adapter_archive import packed
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.train import Teller, duration_of


def run_generative(context: JobContext, request: TrainJobRequest) -> None:
    """One attempt; goes on where the last complete checkpoint was made."""
    inputs, output = context.work_dir / "input", context.work_dir / "adapter"
    teller = Teller(context)
    try:
        _check_sensitive(context, request)
        if not inputs.exists():
            _write_input(context, request, inputs)
        if not (output / "manifest.json").exists():
            _train(context, inputs, output, teller)
        _register(context, request, output, teller)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem


def _check_sensitive(context: JobContext, request: TrainJobRequest) -> None:
    """Conflict where the corpus has been marked sensitive meanwhile: asked at every attempt, and before anything is registered."""
    assert context.corpus_id is not None
    with reading() as session:
        check_sensitive(request.task, sensitive=find_corpus(session, context.corpus_id).sensitive)


def _write_input(context: JobContext, request: TrainJobRequest, folder: Path) -> None:
    """The training folder, whole or not at all: documents as they are now, and the request."""
    context.beat("gathering")
    assert context.corpus_id is not None
    with reading() as session:
        corpus = find_corpus(session, context.corpus_id)
        documents = list(documents_of(session, context.blobs, corpus, request))
    write_generative_folder(folder, generative_request(request, get_settings()), documents)


def _train(context: JobContext, inputs: Path, output: Path, teller: Teller) -> None:
    """Run the trainer in this process; its events become the job's."""
    context.beat("loading")
    import torch

    from models.catalog import ModelUnavailableError
    from models.generative.run import train
    from models.training.errors import TrainingRefusedError, TrainingStoppedError

    threads = get_settings().threads
    if threads:
        torch.set_num_threads(threads)
    shutil.rmtree(output, ignore_errors=True)

    def tell(event: dict[str, Any]) -> None:
        if event["event"] == "checkpoint":
            context.save_checkpoint({name: value for name, value in event.items() if name != "event"})
        else:
            teller.tell(event)

    def should_stop() -> bool:
        context.beat()
        return context.stop_reason() is not None

    try:
        with teller.training():
            train(inputs, context.work_dir / "checkpoints", output, tell, should_stop)
    except TrainingStoppedError as stopped:
        raise JobStopped from stopped
    except (TrainingRefusedError, ModelUnavailableError) as error:
        raise JobFailed(error.code, str(error), field=getattr(error, "field", None)) from error


def _register(context: JobContext, request: TrainJobRequest, output: Path, teller: Teller) -> None:
    """Blob first, then the row and the job's end in one transaction; nothing of a corpus marked sensitive meanwhile. A generative adapter is never promoted: nothing serves it by default."""
    context.progress(stage="registering", done=1, total=1)
    manifest, report, blob = packed(context, output)

    def body(session: WriteSession) -> None:
        assert context.corpus_id is not None
        corpus = find_corpus(session, context.corpus_id)
        check_sensitive(request.task, sensitive=corpus.sensitive)
        name = (
            request.name
            or f"{corpus.name} {request.task} {manifest['base']['name']} {datetime.now(UTC):%Y-%m-%d}"
        )
        new = NewAdapter(manifest, report, blob, corpus.id, name, context.created_by, "train", context.job_id)
        adapter, added = register_adapter(session, context.blobs, new)
        context.succeed(
            session,
            {
                "adapter_id": adapter.id,
                "digest": adapter.digest,
                "new": added,
                "task": request.task,
                "sentence": report["sentence"],
                "duration": duration_of(context, report, teller, "seconds"),
                **report["result"],
            },
        )

    try:
        context.transaction(body)
    except Problem:
        with writing() as session:
            drop_unregistered(session, context.blobs, blob.digest)
        raise
