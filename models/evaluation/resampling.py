"""Bootstrap by group, vectorised: every option's scores under every draw of groups, in a few matrix products.

Texts of one case or defendant resemble each other; drawing texts one by one would make intervals too narrow. Efron and
Tibshirani (1993), "An Introduction to the Bootstrap", chapter 8; percentiles of the draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.scheme import MISSING, YES, Labels

DRAWS = 1000
BINS = 10
"""Bins of equal mass for the calibration error, as in models.training.metrics."""
SCORES = (
    "precision",
    "recall",
    "f1",
    "average_precision",
    "mcc",
    "calibration_error",
    "accuracy",
    "always_no",
    "prevalence",
)
_CHUNK_CELLS = 4_000_000
"""Weights of rows under draws that are held at a time."""

Spread = Mapping[str, NDArray[np.float64]]
"""By name in SCORES: float64 (1 + draws, options); the first row is the sample itself. NaN where undefined."""


def group_draws(groups: int, draws: int, seed: int) -> NDArray[np.uint8]:
    """How often each draw holds each group: uint8 (groups, 1 + draws); the first column is the sample itself, all ones.

    A single group says nothing about others: there are no draws then, and so no intervals.
    """
    draws = draws if groups > 1 else 0
    rng = np.random.default_rng(seed)
    found = np.ones((groups, 1 + draws), dtype=np.uint8)
    for draw in range(1, 1 + draws):
        counted = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        found[:, draw] = np.minimum(counted, 255)
    return found


def group_codes(groups: Sequence[str]) -> NDArray[np.int64]:
    """Groups counted from 0: int64 (rows)."""
    return np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def bootstrap(
    labels: Labels,
    probabilities: NDArray[np.float32],
    decisions: Labels,
    groups: NDArray[np.int64],
    drawn: NDArray[np.uint8],
) -> dict[str, NDArray[np.float64]]:
    """Scores of every option under every draw (`Spread`).

    Args:
        labels: int8 (rows, options); MISSING cells are left out.
        probabilities: float32 (rows, options); NaN cells are left out.
        decisions: int8 (rows, options); MISSING cells are left out.
        groups: int64 (rows), from `group_codes`.
        drawn: from `group_draws`, of these groups.
    """
    known = (labels != MISSING) & np.isfinite(probabilities) & (decisions != MISSING)
    truth, said = (labels == YES) & known, (decisions == YES) & known
    cells = np.stack([truth & said, said & ~truth, truth & ~said, known & ~truth & ~said])
    counted = np.stack([_by_group(part, groups, len(drawn)) for part in cells])
    found = _from_counts(_weighted(counted, drawn))
    ranked = [_Ranked(truth[:, c], probabilities[:, c], known[:, c], groups) for c in range(labels.shape[1])]
    shape = (drawn.shape[1], labels.shape[1])
    precision, error = np.full(shape, np.nan), np.full(shape, np.nan)
    for column, option in enumerate(ranked):
        precision[:, column] = option.average_precision(drawn)
        error[:, column] = option.calibration_error(drawn)
    return found | {"average_precision": precision, "calibration_error": error}


def macro(spread: Spread, name: str) -> NDArray[np.float64]:
    """Mean of a score over the options that have positives in a draw: float64 (1 + draws)."""
    counted = spread["prevalence"] > 0
    values = np.where(counted, np.nan_to_num(spread[name]), 0.0)
    found: NDArray[np.float64] = values.sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    found[~counted.any(axis=1)] = np.nan
    return found


def interval(values: NDArray[np.float64]) -> list[float] | None:
    """95 % percentile interval of a score's draws, None where fewer than half of them are defined or there are none.

    Args:
        values: float64 (1 + draws); the first one is the sample itself and is left out.
    """
    draws = values[1:]
    defined = draws[np.isfinite(draws)]
    if len(defined) * 2 < max(1, len(draws)):
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return [float(low), float(high)]


def _by_group(cells: NDArray[np.bool_], groups: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """Sums by group: float32 (options, groups)."""
    return np.stack([np.bincount(groups[column], minlength=count) for column in cells.T]).astype(np.float32)


def _weighted(counted: NDArray[np.float32], drawn: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Counts under each draw: float64 (4, 1 + draws, options)."""
    kinds, options, groups = counted.shape
    flat = counted.reshape(kinds * options, groups)
    parts = [flat @ drawn[:, part].astype(np.float32) for part in _chunks(groups, drawn.shape[1])]
    together = np.concatenate(parts, axis=1).astype(np.float64)
    return together.reshape(kinds, options, -1).transpose(0, 2, 1)


def _from_counts(counts: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Scores from (hits, false alarms, misses, rejections), each (1 + draws, options). Precision is 0 where nothing was found."""
    tp, fp, fn, tn = counts
    positives, support = tp + fn, counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        undefined = np.where(positives > 0, 0.0, np.nan)
        product = (tp + fp) * positives * (tn + fp) * (tn + fn)
        return {
            "precision": np.where(tp + fp > 0, tp / (tp + fp), undefined),
            "recall": np.where(positives > 0, tp / positives, np.nan),
            "f1": np.where(2 * tp + fp + fn > 0, 2 * tp / (2 * tp + fp + fn), np.nan),
            "mcc": np.where(product > 0, (tp * tn - fp * fn) / np.sqrt(product), np.nan),
            "accuracy": np.where(support > 0, (tp + tn) / support, np.nan),
            "always_no": np.where(support > 0, 1 - positives / support, np.nan),
            "prevalence": np.where(support > 0, positives / support, np.nan),
        }


def _chunks(rows: int, columns: int) -> Iterator[slice]:
    """Draws to work on at a time, so that rows × draws stays small."""
    width = max(1, _CHUNK_CELLS // max(1, rows))
    for start in range(0, columns, width):
        yield slice(start, min(columns, start + width))


class _Ranked:
    """One option's known rows by falling probability, cut where a tie with a positive in it ends."""

    def __init__(
        self,
        truth: NDArray[np.bool_],
        scores: NDArray[np.float32],
        known: NDArray[np.bool_],
        groups: NDArray[np.int64],
    ) -> None:
        rows = np.flatnonzero(known)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        self._truth, self._scores = truth[rows], scores[rows].astype(np.float64)
        self._groups = groups[rows]

    def average_precision(self, drawn: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Average precision under each draw: float64 (1 + draws)."""
        found = np.full(drawn.shape[1], np.nan)
        if not self._truth.any():
            return found
        starts_all, starts_positive, end = self._cuts()
        groups, positive = self._groups[:end], self._groups[:end][self._truth[:end]]
        for part in _chunks(end, drawn.shape[1]):
            weights = np.ascontiguousarray(drawn[:, part]).astype(np.float32)
            every = np.cumsum(np.add.reduceat(weights[groups], starts_all, axis=0), axis=0)
            hits = np.add.reduceat(weights[positive], starts_positive, axis=0)
            gained, total = np.cumsum(hits, axis=0), hits.sum(axis=0)
            area = (hits * gained / np.maximum(every, 1)).sum(axis=0)
            found[part] = np.where(total > 0, area / np.maximum(total, 1), np.nan)
        return found

    def calibration_error(self, drawn: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Expected calibration error over the sample's own bins, under each draw: float64 (1 + draws)."""
        if not len(self._truth):
            return np.full(drawn.shape[1], np.nan)
        order = np.arange(len(self._truth))[::-1]
        bins = np.array_split(order, min(BINS, len(order)))
        gaps = np.zeros((len(bins) + 1, len(drawn)))
        for place, rows in enumerate(bins):
            gap = self._scores[rows] - self._truth[rows]
            gaps[place] = np.bincount(self._groups[rows], weights=gap, minlength=len(drawn))
        gaps[-1] = np.bincount(self._groups, minlength=len(drawn))
        parts = [gaps @ drawn[:, part].astype(np.float64) for part in _chunks(len(drawn), drawn.shape[1])]
        summed = np.concatenate(parts, axis=1)
        error: NDArray[np.float64] = np.abs(summed[:-1]).sum(axis=0) / np.maximum(summed[-1], 1)
        error[summed[-1] == 0] = np.nan
        return error

    def _cuts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Starts of the segments among all rows and among the positive ones, and where the last segment ends.

        A segment ends with a group of equal scores that holds a positive: recall grows nowhere else.
        """
        ends = np.append(np.flatnonzero(np.diff(self._scores)), len(self._scores) - 1) + 1
        hits = np.add.reduceat(self._truth.astype(np.int64), np.append(0, ends[:-1]))
        ends = ends[hits > 0]
        counts = hits[hits > 0]
        return np.append(0, ends[:-1]), np.append(0, np.cumsum(counts)[:-1]), int(ends[-1])
