"""A train job from its input folder to an adapter folder: folds, baselines, final fit, calibration, report, checks."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.adapters.folder import publish, published
from models.adapters.wide import context_terms
from models.data.folds import assign_folds
from models.data.near_duplicates import content_digests, signatures
from models.encoder.load import Encoder
from models.encoder.tokens import tokenize
from models.encoder.trunk import DEFAULT_MEMORY, Trunk, build_trunk, text_means
from models.evaluation.energy import energy_since, start_meter
from models.training.assemble import reload_check, report_of, write_adapter
from models.training.base import load_base
from models.training.checkpoint import save_folder, save_json
from models.training.fit import Signals
from models.training.fold import run_final, run_fold, split_fold
from models.training.held_out import held_out
from models.training.inputs import TrainingSet, read_inputs
from models.training.material import Material
from models.training.member_result import MemberResult, read_result, write_result
from models.training.members import member_material
from models.training.memory import is_out_of_memory, refusal
from models.training.plan import (
    MOST_WINDOWS,
    RECIPE,
    Plan,
    fit_settings,
    fold_count,
    make_plan,
    pooled_layers,
    reads_per_epoch,
    trunk_depth,
    window_tokens,
)
from models.training.progress import Event, Progress
from models.training.request import read_request
from models.training.search_report import search_part
from models.training.wide import count_vocabulary


def train(
    input_dir: Path | str,
    work_dir: Path | str,
    output_dir: Path | str,
    emit: Callable[[Event], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train an adapter: input folder in, adapter folder out (docs/architecture.md). Resumes from `work_dir`.

    Args:
        input_dir: request.json, texts.arrow, labels.npy and optionally corpus_groups.json, human_pair.npz.
        work_dir: checkpoints; the same folder resumes a killed job. Its own, and removable afterwards.
        output_dir: where the adapter goes, whole or not at all; must be absent or empty.
        emit: called with each event, a JSON-ready dict.
        should_stop: asked between steps; true ends the call after the last complete checkpoint.

    Returns:
        The adapter's manifest.

    Raises:
        TrainingRefusedError: the request or the labels cannot be trained on, or memory is full (`out-of-memory`).
        ModelUnavailableError: the base model cannot be had.
        TrainingStoppedError: `should_stop` said so; call again to resume.
    """
    try:
        return _train(input_dir, work_dir, output_dir, emit, should_stop)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise refusal(error, read_request(Path(input_dir) / "request.json")) from error


def _train(
    input_dir: Path | str,
    work_dir: Path | str,
    output_dir: Path | str,
    emit: Callable[[Event], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    began = time.monotonic()
    work, output = Path(work_dir), Path(output_dir)
    work.mkdir(parents=True, exist_ok=True)
    progress = Progress(emit, should_stop)
    data = read_inputs(Path(input_dir))
    made = published(output, data.digest)
    if made is not None:
        verdict = json.loads((output / "report.json").read_text(encoding="utf-8"))["verdict"]
        progress.event("finished", digest=made["digest"], beats_baselines=verdict["beats_baselines"])
        return made
    folds = fold_count(data)
    encoder = _load(data)
    meter = start_meter(on_gpu=encoder.device.type == "cuda")
    progress.enter("tokens")
    trunk = _trunk(encoder, data, work, progress)
    plan = _plan(work, encoder, trunk, data, folds, time.monotonic() - began)
    progress.event("estimate", **plan.to_document())
    progress.total = planned_tokens(trunk, plan)
    material, terms = make_material(encoder, trunk, data, plan)
    results = [_fold(material, plan, fold, work, progress) for fold in range(plan.folds)]
    final = _final(material, plan, results, work, progress)
    progress.enter("calibration")
    read = held_out(material, results)
    seconds = time.monotonic() - began
    report = report_of(material, plan, results, final, read, seconds, energy_since(meter))
    report |= search_part(material, results)
    progress.event("report", verdict=report["verdict"], macro=report["macro"], micro=report["micro"])
    progress.enter("writing")
    draft = work / "adapter"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    manifest = write_adapter(draft, material, terms, results, final, read, report)
    difference = _deliver(draft, output, material, work, progress)
    progress.event(
        "finished", digest=manifest["digest"], beats_baselines=report["verdict"]["beats_baselines"],
        reload_difference=difference, seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip
    return manifest


def _deliver(draft: Path, output: Path, material: Material, work: Path, progress: Progress) -> float:
    """Check a written adapter in a fresh process and publish it; returns the largest difference of a logit."""
    progress.enter("reload check")
    difference = reload_check(draft, material, work)
    publish(draft, output)
    shutil.rmtree(draft)
    progress.at(progress.total)
    progress.tell(force=True)
    return difference


def planned_tokens(trunk: Trunk, plan: Plan) -> int:
    """Tokens of the whole job when no fit stops early: the trunk once, then all folds and the final fit."""
    return int(trunk.windows.tokens * (1 + plan.epochs * reads_per_epoch(plan.folds)))


def _load(data: TrainingSet) -> Encoder:
    return load_base(data.request)


def _trunk(encoder: Encoder, data: TrainingSet, work: Path, progress: Progress) -> Trunk:
    request = data.request
    windows = tokenize(encoder, data.texts, window_tokens(request, encoder), MOST_WINDOWS)
    memory = DEFAULT_MEMORY if request.memory_bytes == "auto" else request.memory_bytes
    progress.total = windows.tokens * 2
    progress.enter("trunk")

    def tell(tokens: int) -> None:
        progress.check_stop()
        progress.at(tokens)

    return build_trunk(
        encoder, windows, trunk_depth(request, encoder), pooled_layers(encoder), work, memory, tell
    )


def _plan(work: Path, encoder: Encoder, trunk: Trunk, data: TrainingSet, folds: int, spent: float) -> Plan:
    """The plan of the checkpoints, or a new one; checkpoints of another input or recipe are removed."""
    path = work / "plan.json"
    if path.exists():
        document = json.loads(path.read_text())
        if document["input_digest"] == data.digest and document.get("recipe") == RECIPE:
            return Plan.from_document(document)
        for stale in [path, *work.glob("member-*"), *work.glob("fit-*.pt")]:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    plan = make_plan(encoder, trunk, data, folds, spent)
    save_json(path, plan.to_document())
    return plan


def make_material(
    encoder: Encoder, trunk: Trunk, data: TrainingSet, plan: Plan
) -> tuple[Material, tuple[str, ...]]:
    """What the folds share, and the terms that the columns of its counts stand for."""
    terms, counts = count_vocabulary(data.texts, data.contexts if data.request.may_read_context else None)
    return Material(
        data=data,
        encoder=encoder,
        trunk=trunk,
        features=text_means(trunk.frozen, trunk.windows),
        counts=counts,
        of_context=context_terms(terms),
        folds=assign_folds(data.groups, plan.folds, data.request.seed, data.corpus_sizes),
        digests=content_digests(data.texts),
        signed=signatures(data.texts),
        settings=fit_settings(data.request, plan),
    ), terms


def _fold(material: Material, plan: Plan, fold: int, work: Path, progress: Progress) -> MemberResult:
    name = f"fold{fold}"
    progress.enter(f"fold {fold + 1} of {plan.folds}")
    if not (work / f"member-{name}").exists():
        split = split_fold(material, fold)
        progress.event("fold_started", folds=plan.folds, **split.to_document())
        own, own_plan = member_material(material, plan, fold)
        _keep(
            work,
            name,
            run_fold(own, fold, split, work, _signals(name, own_plan, progress)),
            progress,
        )
    result = read_result(work / f"member-{name}")
    progress.event("fold_finished", fold=fold, folds=plan.folds, best_epoch=result.facts["best_epoch"])
    progress.at(
        material.trunk.windows.tokens * (1 + plan.epochs * (fold + 1) * (plan.folds - 1) // plan.folds)
    )
    return result


def _final(
    material: Material, plan: Plan, results: list[MemberResult], work: Path, progress: Progress
) -> MemberResult:
    progress.enter("final fit")
    if not (work / "member-final").exists():
        asked = material.data.request.final_epochs
        epochs = (
            asked if asked is not None else int(np.median([result.facts["best_epoch"] for result in results]))
        )
        result = run_final(material, epochs, work, _signals("final", plan, progress))
        _keep(work, "final", result, progress)
    return read_result(work / "member-final")


def _keep(work: Path, name: str, result: MemberResult, progress: Progress) -> None:
    """Save a finished member; its epoch checkpoints are no longer needed."""
    save_folder(work / f"member-{name}", lambda folder: write_result(folder, result))
    for path in work.glob(f"fit-{name}*.pt"):
        path.unlink()
    progress.event("checkpoint", member=name, complete=True)


def _signals(name: str, plan: Plan, progress: Progress) -> Signals:
    def epoch_done(entry: dict[str, Any]) -> None:
        progress.event("epoch", member=name, epochs=plan.epochs, **entry)
        progress.event("checkpoint", member=name, complete=False, epoch=entry["epoch"])

    def event(kind: str, details: dict[str, Any]) -> None:
        progress.event(kind, **details)

    return Signals(epoch_done, progress.add, progress.should_stop, event)
