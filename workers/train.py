"""A train job: freeze the labels, write the training folder, train with checkpoints, register the adapter. `python -m workers.train JOB FENCE`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from app.adapters.promoting import promote_if_better
from app.adapters.queries import NewAdapter, about_corpus, register_adapter
from app.adapters.rules import macro_f1
from app.corpora.annotations import load_annotations
from app.corpora.codebook import load_codebook
from app.corpora.queries import find_corpus
from app.corpora.scheme_queries import scheme_version
from app.corpora.snapshots import Snapshot, read_snapshot
from app.db.session import ReadSession, WriteSession, reading
from app.db.tables import LabelSnapshot
from app.http.problems import Problem
from app.jobs.rules import eta_seconds
from app.settings import get_settings
from app.training.base_models import catalog_document, check_device
from app.training.folder import TrainingInput, write_training_folder
from app.training.plan import selection_for
from app.training.queries import contents
from app.training.rules import Selection, check, chosen_scheme, human_pair
from app.training.schemas import TrainJobRequest
from models.data.context import Context
from models.scheme import Scheme
from workers import host_memory
from workers.adapter_archive import packed
from workers.failures import memory_failure_of
from workers.job_context import (
    JobContext,
    JobFailed,
    JobStopped,
    child_main,
)
from workers.neighbours import Surroundings
from workers.search.refit import refit_fields
from workers.snapshot import frozen_snapshot
from workers.train_size import note_size


def run(context: JobContext) -> None:
    """One attempt; goes on where the last complete checkpoint was made."""
    request = TrainJobRequest.model_validate(
        {key: value for key, value in context.params.items() if key in TrainJobRequest.model_fields}
    )
    if request.task != "classify":
        from workers.generative import run_generative

        run_generative(context, request)
        return
    given = context.params.get("refit", {}).get("snapshot_id")  # a search's trials have seen that one
    snapshot_id = frozen_snapshot(context, given)
    inputs, output = context.work_dir / "input", context.work_dir / "adapter"
    try:
        if not inputs.exists():
            with reading() as session:
                write_training_folder(inputs, training_input(session, context, request, snapshot_id))
        teller = Teller(context)
        if not (output / "manifest.json").exists():
            _train(context, inputs, output, teller)
    except Problem as problem:
        raise JobFailed(problem.slug, problem.detail, field=problem.field) from problem
    _register(context, request, snapshot_id, output, teller)


def training_input(
    session: ReadSession, context: JobContext, request: TrainJobRequest, snapshot_id: str
) -> TrainingInput:
    """What the trainer reads: the rows and labels of a snapshot that the request asks for.

    Raises Problem where this machine's settings, or the labels, do not allow the request.
    """
    check_device(request.device, get_settings())
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
            "device": settings.device if request.device == "auto" else request.device,
            "catalog": catalog_document(settings),
        }
        | refit_fields(session, context.params),
        keys=[frozen.external_ids[row] for row in rows],
        contents=[texts[number] for number in frozen.text_version_ids[rows].tolist()],
        groups=[frozen.groups[row] for row in rows],
        splits=[frozen.splits[row] for row in rows],
        labels=selection.labels,
        corpus_groups=frozen.groups,
        human_pair=_human_pair(session, row.corpus_id, request, scheme, frozen, selection),
        contexts=_contexts(frozen, selection) if _reads_context(context, request) else None,
        about=about_corpus(session, row.corpus_id, snapshot_id),
    )


def _reads_context(context: JobContext, request: TrainJobRequest) -> bool:
    """Whether some member or trial may read contexts: what a search tries need not be what the request says."""
    return bool(request.context) or "refit" in context.params or "search_id" in context.params


def _contexts(frozen: Snapshot, selection: Selection) -> list[Context]:
    """What stands around each row."""
    wanted = {frozen.groups[row] for row in selection.rows}
    around = Surroundings(frozen.text_version_ids, frozen.groups, wanted)
    return around.of(frozen.text_version_ids[selection.rows])


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


def _train(context: JobContext, inputs: Path, output: Path, teller: Teller) -> None:
    """Run the trainer in this process; its events become the job's."""
    context.beat("loading")
    note_size(context.work_dir, inputs)
    import torch

    from models.catalog import ModelUnavailableError
    from models.data.folds import TooFewGroupsError
    from models.training.errors import TrainingRefusedError, TrainingStoppedError
    from models.training.run import train

    threads = get_settings().threads
    if threads:
        torch.set_num_threads(threads)
    shutil.rmtree(output, ignore_errors=True)
    checkpoints = context.work_dir / "checkpoints"
    teller.say_if_anew(checkpoints)
    try:
        with teller.training():
            train(inputs, checkpoints, output, teller.tell, lambda: context.stop_reason() is not None)
    except TrainingStoppedError as stopped:
        raise JobStopped from stopped
    except (TrainingRefusedError, ModelUnavailableError, TooFewGroupsError) as error:
        code = getattr(error, "code", "training-refused")
        if code == "out-of-memory":
            raise memory_failure_of(error, context.work_dir) from error
        raise JobFailed(code, str(error), field=getattr(error, "field", None)) from error


class Teller:
    """Passes the trainer's events on: progress with the time left, checkpoints, everything else as it is."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._begin: tuple[float, float] | None = None
        self.planned: dict[str, Any] = {}
        """What the trainer said of its plan."""
        self._trained_seconds = 0.0

    @contextmanager
    def training(self) -> Iterator[None]:
        """While the trainer runs."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._trained_seconds += time.monotonic() - began

    def seconds_around(self) -> float:
        """Of this process so far, its start included, outside of the trainer."""
        return time.time() - float(psutil.Process().create_time()) - self._trained_seconds

    def say_if_anew(self, checkpoints: Path) -> None:
        """An event where an earlier attempt got further than this machine knows: its checkpoints lie elsewhere, or are lost."""
        if "member" in (self._context.checkpoint or {}) and not checkpoints.exists():
            self._context.emit(
                "started_anew",
                {
                    "detail": "The checkpoints of the earlier attempt are not in this work folder (a backup does not hold them, and "
                    "jobs workers may have folders of their own): training starts anew, from the same label snapshot."
                },
            )

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
            if kind == "estimate":
                self.planned = data
                self._context.expect_pace(data.get("tokens_per_second") or 0.0)
            self._context.emit("trained" if kind == "finished" else kind, data)

    def _time_left(self, done: float, total: float) -> float | None:
        """Seconds left at this attempt's pace; tokens read by an earlier attempt do not count."""
        now = time.monotonic()
        if self._begin is None or done < self._begin[1]:
            self._begin = (now, done)
        began, before = self._begin
        seconds = eta_seconds(done - before, total - before, now - began)
        return None if seconds is None else round(seconds, 1)


def _register(
    context: JobContext, request: TrainJobRequest, snapshot_id: str, output: Path, teller: Teller
) -> None:
    """Blob first, then row, promotion and the job's end in one transaction."""
    context.progress(stage="registering", done=1, total=1)
    manifest, report, blob = packed(context, output)

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
                "duration": duration_of(context, report, teller, "estimated_seconds"),
            },
        )

    context.transaction(body)


def duration_of(
    context: JobContext, report: dict[str, Any], teller: Teller, planned_as: str
) -> dict[str, Any]:
    """How long it took beside what was estimated: before the job (where it had been measured) and by the trainer's own plan.

    `seconds` are the trainer's, all attempts together; `job_seconds`, which the estimate is of, have the last attempt's start
    and end, too.
    """
    before, seconds = context.params.get("estimate") or {}, float(report.get("seconds") or 0.0)
    return {
        "seconds": seconds,
        "job_seconds": round(seconds + teller.seconds_around(), 1),
        "estimated_seconds": before.get("seconds"),
        "estimated_seconds_if_start_kept": before.get("seconds_if_start_kept"),
        "estimated_range": before.get("range_seconds"),
        "planned_seconds": teller.planned.get(planned_as),
        "peak_memory_bytes": host_memory.own_peak_bytes(),
        "estimated_memory_bytes": before.get("memory_bytes"),
    }


if __name__ == "__main__":
    child_main(run)
