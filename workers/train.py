"""A train job: freeze the labels, write the training folder, train with checkpoints, register the adapter. `python -m workers.train JOB FENCE`."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.adapters.archive import pack
from app.adapters.promoting import promote_if_better
from app.adapters.queries import NewAdapter, about_corpus, register_adapter
from app.adapters.rules import macro_f1
from app.corpora.annotations import load_annotations
from app.corpora.codebook import load_codebook
from app.corpora.queries import find_corpus
from app.corpora.scheme_queries import scheme_version
from app.corpora.snapshots import Snapshot, freeze, read_snapshot
from app.db.session import ReadSession, WriteSession, reading
from app.db.tables import LabelSnapshot
from app.http.problems import Problem
from app.jobs.rules import eta_seconds
from app.settings import get_settings
from app.training.base_models import catalog_document
from app.training.folder import TrainingInput, write_training_folder
from app.training.plan import selection_for
from app.training.queries import contents
from app.training.rules import Selection, check, chosen_scheme, human_pair
from app.training.schemas import TrainJobRequest
from models.scheme import Scheme
from workers.job_context import JobContext, JobFailed, JobStopped, child_main


def run(context: JobContext) -> None:
    """One attempt; goes on where the last complete checkpoint was made."""
    request = TrainJobRequest.model_validate(
        {key: value for key, value in context.params.items() if key in TrainJobRequest.model_fields}
    )
    snapshot_id = _snapshot(context)
    inputs, output = context.work_dir / "input", context.work_dir / "adapter"
    try:
        if not inputs.exists():
            with reading() as session:
                write_training_folder(inputs, _training_input(session, context, request, snapshot_id))
        if not (output / "manifest.json").exists():
            _train(context, inputs, output)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail) from problem
    _register(context, request, snapshot_id, output)


def _snapshot(context: JobContext) -> str:
    """The label snapshot that this job names: frozen once, kept by its first checkpoint."""
    if context.checkpoint is not None:
        return str(context.checkpoint["snapshot_id"])

    def body(session: WriteSession) -> str:
        assert context.corpus_id is not None
        snapshot = freeze(session, context.corpus_id, context.blobs)
        context.emit(
            "snapshot",
            {
                "snapshot_id": snapshot.id,
                "texts": snapshot.text_count,
                "cells": snapshot.cell_count,
                "ties": snapshot.tie_count,
            },
        )
        context.save_checkpoint({"snapshot_id": snapshot.id}, session)
        return snapshot.id

    try:
        return context.transaction(body)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail) from problem


def _training_input(
    session: ReadSession, context: JobContext, request: TrainJobRequest, snapshot_id: str
) -> TrainingInput:
    row = session.get_one(LabelSnapshot, snapshot_id)
    version = scheme_version(session, row.corpus_id, row.scheme_version)
    assert version is not None
    scheme = Scheme.from_document(version.document)
    frozen = read_snapshot(context.blobs.path(row.blob_digest))
    selection = selection_for(
        session,
        request,
        row.corpus_id,
        scheme,
        frozen.values,
        frozen.text_ids,
        frozen.external_ids,
        frozen.splits,
    )
    folds = None if request.folds == "auto" else request.folds
    for warning in check(selection, len(set(frozen.groups)), folds, request.options):
        context.emit("warning", {"detail": warning})
    rows = selection.rows
    texts = contents(session, frozen.text_version_ids[rows])
    settings = get_settings()
    return TrainingInput(
        request=request.trainer_request()
        | {
            "scheme": selection.scheme.to_document(),
            "device": settings.device,
            "catalog": catalog_document(settings),
        },
        keys=[frozen.external_ids[row] for row in rows],
        contents=[texts[number] for number in frozen.text_version_ids[rows].tolist()],
        groups=[frozen.groups[row] for row in rows],
        splits=[frozen.splits[row] for row in rows],
        labels=selection.labels,
        corpus_groups=frozen.groups,
        human_pair=_human_pair(session, row.corpus_id, request, scheme, frozen, selection),
        about=about_corpus(session, row.corpus_id, snapshot_id),
    )


def _human_pair(
    session: ReadSession,
    corpus_id: str,
    request: TrainJobRequest,
    scheme: Scheme,
    frozen: Snapshot,
    selection: Selection,
) -> tuple[Any, Any] | None:
    """Two annotators' labels of the rows, where texts have two."""
    annotations = load_annotations(session, corpus_id, load_codebook(session, corpus_id), frozen.text_ids)
    pair = human_pair(scheme, annotations, len(frozen.text_ids))
    if pair is None:
        return None
    _, columns = chosen_scheme(scheme, request.options)
    first, second = (matrix[selection.rows][:, columns] for matrix in pair)
    return first, second


def _train(context: JobContext, inputs: Path, output: Path) -> None:
    """Run the trainer in this process; its events become the job's."""
    import torch

    from models.catalog import ModelUnavailableError
    from models.data.folds import TooFewGroupsError
    from models.training.errors import TrainingRefusedError, TrainingStoppedError
    from models.training.run import train

    threads = get_settings().threads
    if threads:
        torch.set_num_threads(threads)
    teller = Teller(context)
    shutil.rmtree(output, ignore_errors=True)
    try:
        train(
            inputs,
            context.work_dir / "checkpoints",
            output,
            teller.tell,
            lambda: context.stop_reason() is not None,
        )
    except TrainingStoppedError as stopped:
        raise JobStopped from stopped
    except (TrainingRefusedError, ModelUnavailableError, TooFewGroupsError) as error:
        code = getattr(error, "code", "training-refused")
        raise JobFailed(code, str(error), field=getattr(error, "field", None)) from error


class Teller:
    """Passes the trainer's events on: progress with the time left, checkpoints, everything else as it is."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._begin: tuple[float, float] | None = None

    def tell(self, event: dict[str, Any]) -> None:
        """Take one event of `models.training`."""
        kind = event["event"]
        data = {key: value for key, value in event.items() if key != "event"}
        if kind == "progress":
            self._context.progress(**data, eta_seconds=self._time_left(data["done"], data["total"]))
        elif kind == "checkpoint":
            snapshot_id = (self._context.checkpoint or {})["snapshot_id"]
            self._context.save_checkpoint({"snapshot_id": snapshot_id, **data})
        else:
            self._context.emit("trained" if kind == "finished" else kind, data)

    def _time_left(self, done: float, total: float) -> float | None:
        """Seconds left at this attempt's pace; tokens read by an earlier attempt do not count."""
        now = time.monotonic()
        if self._begin is None or done < self._begin[1]:
            self._begin = (now, done)
        began, before = self._begin
        seconds = eta_seconds(done - before, total - before, now - began)
        return None if seconds is None else round(seconds, 1)


def _register(context: JobContext, request: TrainJobRequest, snapshot_id: str, output: Path) -> None:
    """Blob first, then row, promotion and the job's end in one transaction."""
    manifest = json.loads((output / "manifest.json").read_text(encoding="utf-8"))
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    archive = context.work_dir / "adapter.tar"
    pack(output, archive)
    blob = context.blobs.put_file(archive)

    def body(session: WriteSession) -> None:
        assert context.corpus_id is not None
        corpus = find_corpus(session, context.corpus_id)
        name = request.name or f"{corpus.name} {manifest['base']['name']} {datetime.now(UTC):%Y-%m-%d}"
        new = NewAdapter(
            manifest, report, blob, corpus.id, name, context.created_by, "train", context.job_id, snapshot_id
        )
        adapter, added = register_adapter(session, context.blobs, new)
        actor = context.created_by or "train job"
        decision = promote_if_better(session, corpus.id, adapter, actor, context.blobs)
        context.succeed(
            session,
            {
                "adapter_id": adapter.id,
                "snapshot_id": snapshot_id,
                "digest": adapter.digest,
                "new": added,
                "macro_f1": macro_f1(report),
                "beats_baselines": adapter.beats_baselines,
                "promoted": decision.promoted,
                "promotion": decision.reason,
            },
        )

    context.transaction(body)


if __name__ == "__main__":
    child_main(run)
