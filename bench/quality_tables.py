"""The tables of `bench quality`: the ladder held out within the training rows, the held-out split, the sources' claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality_data import Collection
from bench.quality_peers import peers
from models.adapters.load import LoadedAdapter
from models.data.folds import assign_folds
from models.evaluation.paired import Side, compare_sides
from models.scheme import YES
from models.training.held_out import crossed_readings, gathered
from models.training.inputs import read_inputs
from models.training.material import WITHOUT_CONTEXT
from models.training.member_result import read_result
from models.training.plan import Plan
from models.training.report import MODEL

LADDER = ("untrained", "probe", "tfidf", "wide", WITHOUT_CONTEXT)
CLAIMED_ACCURACY, CLAIMED_F1 = 0.90, 0.80


def ladder(folder: Path, report: dict[str, Any], collection: Collection, seed: int) -> list[dict[str, Any]]:
    """What the adapter gains over each rung: held out by group, thresholds crossed between folds, paired bootstrap by group.

    Args:
        folder: holds the job's input and work folders.
        report: the adapter's.
        collection: what was trained on.
        seed: of the bootstrap.
    """
    sides, groups, labels = held_out_sides(folder)
    counted = slice(0, collection.counted)
    keys, table = collection.scheme.option_keys[counted], []
    cut = {name: Side(side.probabilities[:, counted], side.decisions[:, counted]) for name, side in sides.items()}  # fmt: skip
    print(
        "held out within the training rows | macro-F1, the adapter is better by (95 %) | macro AP, the same"
    )
    for name in LADDER:
        if name in cut:
            found = compare_sides(labels[:, counted], cut[MODEL], cut[name], groups, keys, seed=seed)["macro"]
            table.append({"reading": name} | found)
        elif name in report["macro"]:
            table.append({"reading": name} | _plain(report, name, collection.counted))
        else:
            continue
        print(_rung(table[-1]))
    table.append({"reading": MODEL} | _plain(report, MODEL, collection.counted))
    print(_rung(table[-1]))
    for fold in report["folds"]:
        print(
            f"  fold {fold['fold']}: kept epoch {fold['best_epoch']}, penalty {fold['penalty']}, {fold['wide']['tried']}"
        )
    print(" ", report["verdict"]["sentence"])
    return table


def questions(report: dict[str, Any]) -> dict[str, Any]:
    """Accuracy of each choose_one question by reading, the most frequent answer's beside it."""
    found: dict[str, Any] = {}
    for question, model in report["questions"][MODEL].items():
        accuracy = {name: part[question]["accuracy"] for name, part in report["questions"].items() if part}
        found[question] = {"accuracy": accuracy, "most_frequent": model["majority"]}
        told = ", ".join(f"{name} {value:.3f}" for name, value in accuracy.items())
        print(f"  {question}: accuracy held out: {told}; most frequent answer {model['majority']:.3f}")
    return found


def held_out_sides(folder: Path) -> tuple[dict[str, Side], list[str], NDArray[np.int8]]:
    """Every reading of the folds' held-out rows as the report has it, with groups and labels of the rows."""
    data = read_inputs(folder / "input")
    plan = Plan.from_document(json.loads((folder / "work/plan.json").read_text()))
    folds = assign_folds(data.groups, plan.folds, data.request.seed, data.corpus_sizes)
    results = [read_result(folder / f"work/member-fold{fold}") for fold in range(plan.folds)]
    crossed = crossed_readings(data, folds, results, gathered(results, folds))
    sides = {name: Side(part.probabilities, part.decisions) for name, part in crossed.items()}
    return sides, list(data.groups), data.labels


def _plain(report: dict[str, Any], name: str, counted: int) -> dict[str, Any]:
    """Macro scores of a reading from the report alone."""
    options = [option for option in report["options"][:counted] if option["positives"]]
    rows = [option if name == MODEL else option["beside"][name] for option in options]
    means = {"f1": np.mean([row["f1"] for row in rows]), "average_precision": np.mean([row["pr_auc"] for row in rows])}  # fmt: skip
    return {score: {"second": float(value)} for score, value in means.items()}


def _rung(row: dict[str, Any]) -> str:
    parts = [f"  {row['reading']:16}"]
    for name in ("f1", "average_precision"):
        part = row[name]
        told = f"{part['second']:.3f}"
        if "interval" in part:
            low, high = part["interval"]
            told += f" {part['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
        parts.append(told)
    return " | ".join(parts)


def on_val(
    adapter: LoadedAdapter,
    collection: Collection,
    rows: NDArray[np.int64],
    check: NDArray[np.int64],
    folds: int,
    seed: int,
) -> dict[str, Any]:
    """The shipped adapter on the held-out split beside the peer and beside the mean of its fold models.

    Args:
        adapter: trained on `rows`.
        collection: the texts.
        rows: what the peer is fitted on, too.
        check: of the held-out split.
        folds, seed: of the peer's thresholds.
    """
    texts, around = [collection.texts[row] for row in check], collection.contexts()
    sides = peers(collection, rows, check, folds, seed)
    beside = [around[row] for row in check]
    every = adapter.predict_members(texts, adapter.members, contexts=beside)
    alone = adapter.predict(texts)
    for name, found in (("adapter", every[0]), ("mean of its fold models", every[1:].mean(axis=0))):
        sides[name] = Side(found, adapter.decide(found, beside))
    sides["adapter, no contexts"] = Side(alone, adapter.decide(alone))
    counted = slice(0, collection.counted)
    keys = collection.scheme.option_keys[counted]
    labels, groups = collection.labels[check][:, counted], [collection.groups[row] for row in check]
    cut = {
        name: Side(side.probabilities[:, counted], side.decisions[:, counted]) for name, side in sides.items()
    }
    result: dict[str, Any] = {}
    print(
        f"val: {len(check)} texts, {len(set(groups))} cases | macro-F1, the adapter is better by (95 % by case) | macro AP, the same"
    )
    for name, side in cut.items():
        found = compare_sides(labels, cut["adapter"], side, groups, keys, seed=seed)["macro"]
        result[name] = found
        print(_rung({"reading": name} | found))
    result["options"] = claims(labels, cut["adapter"], keys)
    return result


def claims(labels: NDArray[np.int8], side: Side, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The sources' claim, label by label: accuracy above .90 on every label and F1 above .80 on most, beside always-no."""
    table = []
    print("  option | accuracy | always no | F1 | > .90 accuracy | > .80 F1")
    for column, key in enumerate(keys):
        truth, said = labels[:, column] == YES, side.decisions[:, column] == YES
        accuracy, always_no = float((truth == said).mean()), float(1 - truth.mean())
        f1 = float(2 * (truth & said).sum() / max(1, truth.sum() + said.sum()))
        table.append({"option": key, "accuracy": accuracy, "always_no": always_no, "f1": f1, "positives": int(truth.sum())})  # fmt: skip
        print(
            f"  {key:36} {accuracy:.3f} {always_no:.3f} {f1:.3f} "
            f"{'yes' if accuracy > CLAIMED_ACCURACY else 'no':>4} {'yes' if f1 > CLAIMED_F1 else 'no':>4}"
        )
    return table
