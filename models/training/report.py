"""The report of a train job: the model beside its baselines, and whether it beats them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.paired import Side
from models.scheme import MISSING, YES, Labels, Scheme
from models.training.metrics import Metrics, evaluate, plain
from models.training.report_evidence import evidence_of

MODEL = "model"
BASELINES = ("tfidf", "probe")
"""Readings the model must beat: TF-IDF + logistic regression, and a linear probe on frozen embeddings."""
TITLES = {
    MODEL: "model",
    "tfidf": "TF-IDF baseline",
    "probe": "probe baseline",
    "untrained": "untrained model",
    "wide": "wide branch by itself",
    "without_context": "model on texts alone",
}
BOOTSTRAPS = 400


Reading = Side
"""Held-out probabilities of one contender and its decisions at cross-fitted thresholds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The model's macro-F1 against one baseline, on the same held-out rows."""

    baseline: str
    model_macro_f1: float
    baseline_macro_f1: float
    difference: float
    interval: list[float] | None
    """95 %, of the difference, bootstrapped by group; None where all rows are of one group."""

    @property
    def beaten(self) -> bool:
        """Whether the model's macro-F1 is above the baseline's. Whether it surely is, the interval says."""
        return self.difference > 0


def build_report(
    scheme: Scheme,
    labels: Labels,
    readings: Mapping[str, Reading],
    thresholds: Sequence[float] | NDArray[np.float32],
    groups: Sequence[str],
    seed: int = 0,
    **details: Any,
) -> dict[str, Any]:
    """The whole report, ready for JSON.

    Args:
        scheme: names of options and questions.
        labels: int8 (rows, options) the readings are held against.
        readings: by name; MODEL is required, "tfidf", "probe" and "untrained" stand beside it where given.
        thresholds: the shipped threshold of each option.
        groups: the group of each row, for the bootstrap.
        seed: of the bootstrap.
        details: further JSON-ready parts (embargo, epochs, human_f1, seconds …), kept under their names.
    """
    metrics = {
        name: evaluate(labels, reading.probabilities, reading.decisions, scheme)
        for name, reading in readings.items()
    }
    document = {
        "labels": _label_facts(labels, scheme),
        "options": _options(metrics, thresholds, scheme),
        "questions": {name: found.to_document()["questions"] for name, found in metrics.items()},
        "question_options": _question_options(scheme),
        "macro": {name: found.macro for name, found in metrics.items()},
        "micro": {name: found.micro for name, found in metrics.items()},
        "always_no": {
            "macro_accuracy": metrics[MODEL].macro["always_no"],
            "macro_f1": 0.0,
            "macro_pr_auc": metrics[MODEL].macro["prevalence"],  # what a constant score reaches
        },
        "options_without_positives": metrics[MODEL].options_without_positives,
        "verdict": beats_baselines(labels, readings, groups, seed),
        **evidence_of(scheme, labels, readings, groups, MODEL, seed),
        **details,
    }
    result: dict[str, Any] = plain(document)
    return result


def beats_baselines(
    labels: Labels, readings: Mapping[str, Reading], groups: Sequence[str], seed: int = 0
) -> dict[str, Any]:
    """Whether the model's held-out macro-F1 is above that of every baseline, with the numbers and a sentence.

    Returns:
        {"beats_baselines": bool, "comparisons": [Comparison …], "sentence": str}; without any baseline False, because
        nothing was shown.
    """
    found = [compare(labels, readings, name, groups, seed) for name in BASELINES if name in readings]
    beats = bool(found) and all(comparison.beaten for comparison in found)
    return {
        "beats_baselines": beats,
        "comparisons": [
            {
                "baseline": comparison.baseline,
                "model_macro_f1": comparison.model_macro_f1,
                "baseline_macro_f1": comparison.baseline_macro_f1,
                "difference": comparison.difference,
                "interval": comparison.interval,
                "beaten": comparison.beaten,
            }
            for comparison in found
        ],
        "sentence": _sentence(found),
    }


def compare(
    labels: Labels, readings: Mapping[str, Reading], baseline: str, groups: Sequence[str], seed: int = 0
) -> Comparison:
    """Macro-F1 of the model and a baseline on rows both have read, with a paired bootstrap by group."""
    model, other = readings[MODEL], readings[baseline]
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    both = np.isfinite(model.probabilities) & np.isfinite(other.probabilities) & (labels != MISSING)
    ours, theirs = (_counts(labels, reading.decisions, both, codes) for reading in (model, other))
    draws = np.random.default_rng(seed).multinomial(
        ours.shape[1], np.full(ours.shape[1], 1 / ours.shape[1]), size=BOOTSTRAPS
    )
    whole = np.ones((1, ours.shape[1]))
    first, second = float(_macro_f1(ours, whole)[0]), float(_macro_f1(theirs, whole)[0])
    spread = _macro_f1(ours, draws) - _macro_f1(theirs, draws)
    ends = np.nanquantile(spread, (0.025, 0.975)).tolist() if ours.shape[1] > 1 else None
    return Comparison(baseline, first, second, first - second, ends)


def _counts(
    labels: Labels, decisions: Labels, both: NDArray[np.bool_], codes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(positives, claimed, hit) by group and option: float64 (3, groups, options)."""
    truth, said = (labels == YES) & both, (decisions == YES) & both
    counts = np.zeros((3, int(codes.max()) + 1, labels.shape[1]))
    for place, cells in enumerate((truth, said, truth & said)):
        np.add.at(counts[place], codes, cells)
    return counts


def _macro_f1(counts: NDArray[np.float64], draws: NDArray[Any]) -> NDArray[np.float64]:
    """Macro-F1 of each draw of groups: float64 (draws); options without positives in a draw are left out of its mean."""
    positives, claimed, hit = (draws @ part for part in counts)
    f1 = 2 * hit / np.maximum(positives + claimed, 1)
    counted = positives > 0
    found: NDArray[np.float64] = (f1 * counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    return found


def _question_options(scheme: Scheme) -> dict[str, list[str]]:
    """Option keys of each choose_one question, in the order of its confusion matrix."""
    keys = scheme.option_keys
    return {
        cell.question: [keys[column] for column in cell.positions]
        for cell in scheme.cells
        if cell.option is None
    }


def _label_facts(labels: Labels, scheme: Scheme) -> dict[str, Any]:
    return {
        "rows": len(labels),
        "options": len(scheme.options),
        "missing_cells": int((labels == MISSING).sum()),
    }


def _options(metrics: Mapping[str, Metrics], thresholds: Any, scheme: Scheme) -> list[dict[str, Any]]:
    rows = []
    for column, key in enumerate(scheme.option_keys):
        document = metrics[MODEL].to_document()["options"][key]
        beside = {
            name: {part: getattr(found.options[key], part) for part in ("f1", "pr_auc", "mcc", "ece")}
            for name, found in metrics.items()
            if name != MODEL
        }
        rows.append({"key": key, "threshold": float(thresholds[column]), **document, "beside": beside})
    return rows


def _sentence(found: Sequence[Comparison]) -> str:
    if not found:
        return "No baseline was fitted, so nothing shows that this model is worth having."
    best = max(found, key=lambda comparison: comparison.baseline_macro_f1)
    if best.interval is None:
        within = "no interval, because all texts are of one group"
    else:
        low, high = best.interval
        within = f"95 % interval {low:+.3f} to {high:+.3f}{'' if low > 0 or high < 0 else ': within chance'}"
    level = round(best.model_macro_f1, 3) == round(best.baseline_macro_f1, 3)
    place = "level with" if level else "above" if best.beaten else "not above"
    return (
        f"Held-out macro-F1 {best.model_macro_f1:.3f}, {place} the "
        f"{TITLES[best.baseline]}'s {best.baseline_macro_f1:.3f} (difference {best.difference:+.3f}, {within})."
    )


def as_markdown(report: Mapping[str, Any]) -> str:
    """The report as a Markdown page: verdict, contenders side by side, one row per option."""
    parts = [report["verdict"]["sentence"], "", *_contender_table(report), "", *_option_table(report)]
    for question, found in report["questions"][MODEL].items():
        parts += ["", _question_line(question, found)]
    if report["options_without_positives"]:
        missing = ", ".join(report["options_without_positives"])
        parts += ["", f"Without any positive, so not in the macro means: {missing}."]
    return "\n".join(parts) + "\n"


def _contender_table(report: Mapping[str, Any]) -> list[str]:
    names = ("f1", "pr_auc", "precision", "recall", "mcc", "ece", "accuracy")
    lines = [f"| reading | {' | '.join(f'macro {name}' for name in names)} | micro f1 |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for reading, macro in report["macro"].items():
        cells = [show(macro[name]) for name in names] + [show(report["micro"][reading]["f1"])]
        lines.append(f"| {TITLES.get(reading, reading)} | {' | '.join(cells)} |")
    always = {name.removeprefix("macro_"): value for name, value in report["always_no"].items()}
    cells = [show(always.get(name)) for name in names] + [show(0.0)]
    lines.append(f"| always no | {' | '.join(cells)} |")
    return lines


def _option_table(report: Mapping[str, Any]) -> list[str]:
    names = (
        "prevalence",
        "always_no",
        "accuracy",
        "precision",
        "recall",
        "f1",
        "pr_auc",
        "mcc",
        "ece",
        "threshold",
    )
    beside = [name for name in report["macro"] if name != MODEL]
    heads = ["option", "labels", "yes", *(name.replace("_", " ") for name in names)]
    heads += [f"f1 {TITLES.get(name, name)}" for name in beside]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for option in report["options"]:
        cells = [option["key"], str(option["support"]), str(option["positives"])]
        cells += [show(option[name]) for name in names]
        cells += [show(option["beside"][name]["f1"]) for name in beside]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _question_line(question: str, found: Mapping[str, Any]) -> str:
    return (
        f"{question}: accuracy {show(found['accuracy'])} on {found['support']} texts (always the most frequent option: "
        f"{show(found['majority'])}), macro-F1 {show(found['macro_f1'])}, ECE {show(found['ece'])}."
    )


def show(value: float | None) -> str:
    """A share to three digits; a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"
