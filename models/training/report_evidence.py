"""What a report shows beside its scores: intervals, curves, paired comparisons, rows with and without a twin, the sources' claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.claim import sources_claim
from models.evaluation.curves import option_curves, precision_recall, score_intervals
from models.evaluation.paired import Side, compare_sides
from models.scheme import MISSING, YES, Labels, Scheme
from models.training.metrics import evaluate, option_metrics

TWINS = ("with_twin", "without_twin")


def evidence_of(
    scheme: Scheme,
    labels: Labels,
    readings: Mapping[str, Side],
    groups: Sequence[str],
    model: str,
    seed: int = 0,
) -> dict[str, Any]:
    """Parts `evidence`, `paired` and `claim` of a report.

    Args:
        scheme: names the columns.
        labels: int8 (rows, options).
        readings: by name.
        groups: the group of each row.
        model: the name of the reading that the report is about; the others stand beside it.
        seed: of the bootstrap.

    Returns:
        evidence {intervals, options {key: confusion, precision_recall {reading: points}, reliability}}; paired {name: of
        `compare_sides`}; claim of `sources_claim`.
    """
    keys, side = scheme.option_keys, readings[model]
    curves = option_curves(labels, side.probabilities, side.decisions, keys)
    for column, key in enumerate(keys):
        points = {
            name: _points(labels[:, column], other.probabilities[:, column])
            for name, other in readings.items()
        }
        curves[key]["precision_recall"] = points
    options = [{"key": key, **_scores(labels, side, column)} for column, key in enumerate(keys)]
    return {
        "evidence": {
            "intervals": score_intervals(labels, side.probabilities, side.decisions, groups, keys, seed),
            "options": curves,
        },
        "paired": {
            name: compare_sides(labels, side, other, groups, keys, seed)
            for name, other in readings.items()
            if name != model
        },
        "claim": sources_claim(options),
    }


def _points(labels: NDArray[np.int8], probabilities: NDArray[np.float32]) -> list[list[float]]:
    known = (labels != MISSING) & np.isfinite(probabilities)
    return precision_recall(labels[known] == YES, probabilities[known])


def _scores(labels: Labels, side: Side, column: int) -> dict[str, Any]:
    found = option_metrics(labels[:, column], side.probabilities[:, column], side.decisions[:, column])
    return {name: getattr(found, name) for name in ("support", "positives", "accuracy", "f1", "always_no")}


def twin_section(scheme: Scheme, labels: Labels, side: Side, twin: NDArray[np.bool_]) -> dict[str, Any]:
    """One reading's scores on rows with and without a twin: {with_twin, without_twin: {rows, macro, options}}.

    Args:
        scheme: names the columns.
        labels: int8 (rows, options).
        side: the reading.
        twin: bool (rows).
    """
    found: dict[str, Any] = {}
    for name, rows in zip(TWINS, (twin, ~twin), strict=True):
        metrics = evaluate(labels[rows], side.probabilities[rows], side.decisions[rows], scheme)
        macro = {key: metrics.macro[key] for key in ("f1", "pr_auc", "accuracy", "always_no", "prevalence")}
        options = {
            key: {"positives": one.positives, "f1": one.f1, "pr_auc": one.pr_auc}
            for key, one in metrics.options.items()
        }
        found[name] = {"rows": int(rows.sum()), "macro": macro, "options": options}
    return found
