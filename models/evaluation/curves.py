"""The numbers behind the curves of a report: precision against recall, reliability with counts, the 2×2 tables, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.resampling import DRAWS, SCORES, bootstrap, group_codes, group_draws, interval, macro
from models.scheme import MISSING, YES, Labels

CURVE_POINTS = 60
"""Most points of a precision-recall curve; the recall between two neighbours differs little."""
RELIABILITY_BINS = 10
_Z = 1.959964


def precision_recall(truth: NDArray[np.bool_], scores: NDArray[Any]) -> list[list[float]]:
    """[recall, precision, threshold] by growing recall, thinned to CURVE_POINTS; empty without positives.

    Args:
        truth: bool (rows).
        scores: float (rows), finite.
    """
    positives = int(truth.sum())
    if not positives:
        return []
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    recall, precision = hits[last] / positives, hits[last] / (last + 1)
    whole = int(np.argmax(recall >= 1.0)) + 1  # after the last positive only precision falls
    wanted = np.unique(np.linspace(0, whole - 1, CURVE_POINTS).round().astype(np.int64))
    return [[float(recall[i]), float(precision[i]), float(ordered[last[i]])] for i in wanted]


def reliability(truth: NDArray[np.bool_], scores: NDArray[Any]) -> list[dict[str, Any]]:
    """Bins of equal mass by rising probability: {low, high, mean, share, rows, interval}; interval is Wilson's, 95 %."""
    order = np.argsort(scores, kind="stable")
    found = []
    for rows in np.array_split(order, min(RELIABILITY_BINS, len(order))) if len(order) else ():
        said, right = scores[rows], int(truth[rows].sum())
        found.append(
            {
                "low": float(said.min()),
                "high": float(said.max()),
                "mean": float(said.mean()),
                "share": right / len(rows),
                "rows": len(rows),
                "interval": list(wilson(right, len(rows))),
            }
        )
    return found


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), rows counted as independent."""
    share, square = hits / rows, _Z * _Z
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = _Z * ((share * (1 - share) / rows + square / (4 * rows * rows)) ** 0.5) / (1 + square / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def option_curves(
    labels: Labels, probabilities: NDArray[np.float32], decisions: Labels, option_keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By option: confusion {tp, fp, fn, tn}, precision_recall and reliability of one reading."""
    found = {}
    for column, key in enumerate(option_keys):
        said = decisions[:, column]
        known = (labels[:, column] != MISSING) & np.isfinite(probabilities[:, column]) & (said != MISSING)
        truth, yes, scores = labels[known, column] == YES, said[known] == YES, probabilities[known, column]
        found[key] = {
            "confusion": {
                "tp": int((truth & yes).sum()),
                "fp": int((~truth & yes).sum()),
                "fn": int((truth & ~yes).sum()),
                "tn": int((~truth & ~yes).sum()),
            },
            "precision_recall": precision_recall(truth, scores),
            "reliability": reliability(truth, scores),
        }
    return found


def score_intervals(
    labels: Labels,
    probabilities: NDArray[np.float32],
    decisions: Labels,
    groups: Sequence[str],
    option_keys: Sequence[str],
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """95 % intervals by group of one reading: {draws, groups, options: {key: {score: [low, high]}}, macro: {score: …}}."""
    codes = group_codes(groups)
    drawn = group_draws(int(codes.max(initial=-1)) + 1, draws, seed)
    spread = bootstrap(labels, probabilities, decisions, codes, drawn)
    return {
        "draws": drawn.shape[1] - 1,
        "groups": len(drawn),
        "options": {
            key: {name: interval(spread[name][:, column]) for name in SCORES}
            for column, key in enumerate(option_keys)
        },
        "macro": {name: interval(macro(spread, name)) for name in SCORES},
    }
