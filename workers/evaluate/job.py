"""An evaluation job from freeze to answer; read chunks are kept, so that it can be killed and taken up again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.db.session import WriteSession, reading
from app.db.tables import Adapter, Evaluation
from app.settings import get_settings
from models.evaluation.energy import energy_since, start_meter
from models.evaluation.paired import Side
from workers.adapter_archive import adapter_folder
from workers.evaluate.document import Part, document_of
from workers.evaluate.readers import Readers, readers_of
from workers.evaluate.reading import Bases, load, read_adapter, read_untrained
from workers.evaluate.scope import Scope, asked_for, scope_of
from workers.job_context import JobContext, JobFailed
from workers.snapshot import frozen_snapshot


@dataclass(frozen=True, slots=True)
class _Found:
    """An adapter's row, unpacked."""

    row: Adapter
    folder: Path
    manifest: dict[str, Any]


def run(context: JobContext) -> None:
    """One attempt, of whichever task."""
    threads = get_settings().threads
    if threads:
        import torch

        torch.set_num_threads(threads)
    task = context.params.get("task", "classify")
    if task == "summarize":
        from workers.evaluate.summaries import run_summaries

        run_summaries(context)
    elif task == "causal":
        from workers.evaluate.perplexities import run_perplexities

        run_perplexities(context)
    else:
        _run_classification(context)


def _run_classification(context: JobContext) -> None:
    began, settings = time.monotonic(), get_settings()
    bases = Bases(settings, {})
    main, other = (_adapter(context, context.params.get(name)) for name in ("adapter", "compare_with"))
    scope = scope_of(context, frozen_snapshot(context), None if main is None else list(main.row.option_keys))
    encoder = bases.get(main.manifest["base"]["name"] if main else context.params["base"],
                        main.manifest["base"].get("quantization") if main else None)  # fmt: skip
    meter = start_meter(on_gpu=encoder.device.type == "cuda")
    parts = {}
    if main is not None:
        parts["model"] = _part(context, "model", main, scope, bases)
    if main is None or context.params.get("untrained", True):
        side, words = read_untrained(context, encoder, scope, context.params["seed"])
        parts["model" if main is None else "untrained"] = Part(side, None, words)
    if other is not None:
        parts["compared"] = _part(context, "compared", other, scope, bases)
    document = document_of(
        scope,
        parts,
        context.params["seed"],
        scope_asked=asked_for(context, scope),
        **_subjects(context, main, other),
        energy=energy_since(meter),
        seconds=round(time.monotonic() - began, 1),
    )
    _store(context, scope, main, document)


def _part(context: JobContext, name: str, found: _Found, scope: Scope, bases: Bases) -> Part:
    context.progress(stage="checking what each model has seen", done=0, total=1)
    readers = readers_of(
        found.folder, list(found.manifest["members"]), scope, own=found.row.corpus_id == scope.corpus_id
    )
    if not readers.held_out.any():
        raise JobFailed(
            "nothing-held-out",
            f"Every model of {found.row.id} has seen every one of these {len(scope.keys):,} texts, their groups or near duplicates: "
            "nothing can be said about it on them. Choose texts that it was not trained on.",
        )
    side = _read(context, name, found, readers, scope, bases)
    return Part(side, readers, "Calibration and thresholds as shipped.")


def _read(
    context: JobContext, name: str, found: _Found, readers: Readers, scope: Scope, bases: Bases
) -> Side:
    adapter = load(found.folder, found.manifest, readers, bases)
    return read_adapter(context, name, adapter, readers, scope)


def _adapter(context: JobContext, adapter_id: str | None) -> _Found | None:
    if adapter_id is None:
        return None
    with reading() as session:
        row = session.get(Adapter, adapter_id)
    if row is None:
        raise JobFailed("adapter-gone", f"The adapter {adapter_id} was deleted before the job ran.")
    return _Found(row, *adapter_folder(context, row.blob_digest))


def _subjects(context: JobContext, main: _Found | None, other: _Found | None) -> dict[str, Any]:
    def named(found: _Found | None) -> dict[str, Any] | None:
        if found is None:
            return None
        return {
            "id": found.row.id, "name": found.row.name, "digest": found.row.digest, "base": found.manifest["base"]["name"],
        }  # fmt: skip

    return {"adapter": named(main), "base": context.params.get("base"), "compare_with": named(other)}


def _store(context: JobContext, scope: Scope, main: _Found | None, document: dict[str, Any]) -> None:
    """The evaluation's row and the job's end in one transaction."""

    def body(session: WriteSession) -> None:
        session.add(
            Evaluation(
                job_id=context.job_id,
                corpus_id=scope.corpus_id,
                adapter_id=main.row.id if main else None,
                snapshot_id=scope.snapshot_id,
                document=document,
            )
        )
        session.flush()
        macro = document["macro"]["model"]
        held_out = {
            key: value for key, value in document["held_out"]["model"].items() if key != "left_out_ids"
        }
        context.succeed(
            session,
            {
                "snapshot_id": scope.snapshot_id,
                "report": f"/evaluations/{context.job_id}/report",
                "words": document["verdict"]["sentence"],
                "macro_f1": macro["f1"],
                "macro_average_precision": macro["pr_auc"],
                "macro_accuracy": macro["accuracy"],
                "always_no": document["always_no"]["macro_accuracy"],
                "held_out": held_out,
            },
        )

    context.transaction(body)
