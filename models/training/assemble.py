"""From finished members to an adapter: calibration, report, files, manifest, reload check, publication."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.adapters.folder import ALONE, finish
from models.adapters.load import load_adapter
from models.adapters.member import lora_config, member_folder, write_calibration, write_weights
from models.adapters.seen import write_seen
from models.adapters.verify import Checked, note_expected
from models.adapters.wide import context_terms
from models.catalog import CATALOG
from models.evaluation.card import model_card
from models.evaluation.twins import twins_across_folds
from models.scheme import MISSING
from models.training.calibration import Calibration
from models.training.curves import learning_curve
from models.training.held_out import HeldOut, write_held_out
from models.training.loss import trainable
from models.training.material import WITHOUT_CONTEXT, Material
from models.training.member_result import MemberResult
from models.training.members import member_tuning
from models.training.metrics import human_f1
from models.training.part_sample import sampling_report, without_sampling, write_samples
from models.training.plan import Plan, window_tokens
from models.training.reload import fresh_process
from models.training.report import MODEL, Reading, build_report
from models.training.report_evidence import twin_section
from models.training.wide import prune_vocabulary, wide_document
from models.versions import installed

_PACKAGES = ("remand", "torch", "transformers", "peft", "scikit-learn", "numpy", "tokenizers")
_CHECK_TEXTS = 8
_CHECK_SECONDS = 300


def report_of(
    material: Material, plan: Plan, results: Sequence[MemberResult], final: MemberResult, read: HeldOut, seconds: float,
    energy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The report of the job, ready for JSON."""
    data = material.data
    readings = {name: Reading(part.probabilities, part.decisions) for name, part in read.crossed.items()}
    able = trainable(data.labels)
    details: dict[str, Any] = {}
    if data.human_pair is not None:
        details["human_f1"] = human_f1(*data.human_pair, data.scheme.option_keys)
    if data.request.sample is not None:
        details["sampling"] = sampling_report(
            data.request.sample, [result.facts for result in results], final.facts
        )
    return build_report(
        data.scheme,
        data.labels,
        readings,
        read.shipped.thresholds,
        data.groups,
        seed=data.request.seed,
        plan=plan.to_document(),
        folds=[{"fold": fold, **without_sampling(result.facts)} for fold, result in enumerate(results)],
        final=without_sampling(final.facts),
        learning_curves=learning_curves(material, results),
        untrainable_options=[
            key for key, good in zip(data.scheme.option_keys, able, strict=True) if not good
        ],
        group_count=len(set(data.groups)),
        corpus_group_count=len(data.corpus_sizes),
        texts_read_in_several_windows=int((np.diff(material.trunk.windows.first_window) > 1).sum()),
        seconds=round(seconds, 1),
        energy=energy,
        twins=_twins(material, readings[MODEL]),
        **details,
    )


def learning_curves(material: Material, results: Sequence[MemberResult]) -> dict[str, list[dict[str, Any]]]:
    """By fold, what its held-out rows say after each epoch (`models.training.curves`)."""
    data = material.data
    return {
        str(fold): learning_curve(
            result.facts["epochs"], result.epochs, data.labels[material.folds == fold], data.scheme
        )
        for fold, result in enumerate(results)
        if result.epochs is not None
    }


def _twins(material: Material, model: Reading) -> dict[str, Any]:
    """Scores of rows that repeat a labelled row of another fold (which the embargo then dropped) beside those of the others."""
    data = material.data
    labelled = (data.labels != MISSING).any(axis=1)
    twin = twins_across_folds(material.folds, material.digests, material.signed, labelled)
    return twin_section(data.scheme, data.labels, model, twin)


def write_adapter(
    folder: Path, material: Material, terms: Sequence[str], results: Sequence[MemberResult], final: MemberResult,
    read: HeldOut, report: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Write every file of the adapter into an empty folder and return its manifest."""
    members = {"final": final, **{f"fold{fold}": result for fold, result in enumerate(results)}}
    keys = material.data.scheme.option_keys
    wides = [wide for member in members.values() for wide in member.weights.wides]
    kept, moved = prune_vocabulary(terms, wides)
    pruned = iter(moved)
    for (name, member), (calibration, alone) in zip(members.items(), _calibrations(read), strict=True):
        place = member_folder(folder, name)
        write_weights(place, member.weights.with_wides(pruned), _config(material, name))
        write_calibration(place, calibration, keys)
        if member.weights.alone is not None:
            write_calibration(place / ALONE, alone, keys)
        if member.seen is not None:
            write_seen(place, member.seen)
    if wides:
        (folder / "wide.json").write_text(
            json.dumps(wide_document(kept), ensure_ascii=False), encoding="utf-8"
        )
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False), encoding="utf-8")
    write_held_out(folder / "held_out.arrow", material, read)
    if material.data.request.sample is not None:
        write_samples(folder / "samples.arrow", {name: member.facts for name, member in members.items()})
    epochs = {
        f"fold{fold}": result.epochs for fold, result in enumerate(results) if result.epochs is not None
    }
    np.savez_compressed(folder / "epochs.npz", **epochs)  # type: ignore[arg-type]
    manifest = _manifest(
        material,
        list(members),
        context=bool(wides) and bool(context_terms(kept).any()),
        alone=any(member.weights.alone is not None for member in members.values()),
    )
    (folder / "README.md").write_text(model_card(manifest, report, material.data.about), encoding="utf-8")
    return finish(folder, manifest)


def _calibrations(read: HeldOut) -> list[tuple[Calibration, Calibration]]:
    """Of each member, `final` first: with contexts, and alone."""
    beside = read.crossed[MODEL].calibrations
    alone = read.crossed[WITHOUT_CONTEXT].calibrations if WITHOUT_CONTEXT in read.crossed else beside
    return [(read.shipped, read.shipped_alone), *zip(beside, alone, strict=True)]


def reload_check(folder: Path, material: Material, work: Path) -> float:
    """Load the adapter in a fresh process and compare logits, of texts alone and in context; returns the largest difference.

    Raises:
        TrainingRefusedError: the fresh process answers otherwise, so the adapter must not be used.
    """
    data = material.data
    rows = np.argsort(~material.beside(), kind="stable")[:_CHECK_TEXTS].tolist()
    checked = Checked(
        [data.texts[row] for row in rows],
        None if data.contexts is None else [data.contexts[row] for row in rows],
    )
    expected = work / "reload.npz"
    note_expected(load_adapter(folder, material.encoder), checked, expected)
    arguments = [
        str(folder), "--base", str(material.encoder.path), "--expected", str(expected), "--device", str(material.encoder.device),
    ]  # fmt: skip
    try:
        return fresh_process("models.adapters.verify", arguments, _CHECK_SECONDS)
    finally:
        for leftover in (expected, expected.with_suffix(".json")):
            leftover.unlink()


def _config(material: Material, member: str) -> dict[str, Any] | None:
    tuning = member_tuning(material.data.request, member)
    return (
        lora_config(material.encoder, _base_name(material), material.trunk.depth, tuning)
        if tuning.lora
        else None
    )


def _base_name(material: Material) -> str:
    """The catalog name, or the last part of a local folder: paths of this machine stay here."""
    name = material.data.request.base_model
    return name if name in CATALOG else Path(name).name


def _manifest(material: Material, members: list[str], *, context: bool, alone: bool) -> dict[str, Any]:
    data, encoder, trunk = material.data, material.encoder, material.trunk
    name, tuning = _base_name(material), material.settings.tuning
    return {
        "task": "classify",
        "scheme": data.scheme.to_document(),
        "option_keys": list(data.scheme.option_keys),
        "base": {
            "name": name,
            "revision": data.request.catalog.revisions.get(name),
            "sha256": encoder.sha256,
            "family": encoder.family,
            "quantization": encoder.quantization,
        },
        "encoder": {
            "depth": trunk.depth,
            "pooled": list(trunk.pooled),
            "max_tokens": window_tokens(data.request, encoder),
            "method": tuning.method,
            "lora_rank": tuning.rank if tuning.lora else None,
            "lora_scaling": tuning.scaling if tuning.lora else None,
            "member_scaling": {
                name: own.scaling
                for name in members
                if (own := member_tuning(data.request, name)).lora and own.scaling != tuning.scaling
            },
            "window_pooling": material.settings.pooling.value,
            "context": context,
            "alone": alone,
        },
        "members": members,
        "seed": data.request.seed,
        "input_digest": data.digest,
        "versions": {"python": platform.python_version()} | installed(_PACKAGES),
    }
