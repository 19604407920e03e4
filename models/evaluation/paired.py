"""Two readings of the same cells: differences with intervals by group, and McNemar's exact test with Holm's correction.

McNemar (1947); Holm (1979), "A simple sequentially rejective multiple test procedure". The test counts cells as if they
were independent; where groups are large, the interval by group is the one to trust.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.resampling import DRAWS, Spread, bootstrap, group_codes, group_draws, interval, macro
from models.scheme import MISSING, YES, Labels

COMPARED = ("f1", "average_precision")


@dataclass(frozen=True, slots=True)
class Side:
    """One reading: probabilities float32 (rows, options), NaN where there is none, and its decisions int8 (rows, options)."""

    probabilities: NDArray[np.float32]
    decisions: Labels


def common_cells(labels: Labels, first: Side, second: Side) -> Labels:
    """Labels with every cell MISSING that not both sides have read: int8 (rows, options)."""
    read = np.isfinite(first.probabilities) & np.isfinite(second.probabilities)
    read &= (first.decisions != MISSING) & (second.decisions != MISSING)
    return np.where(read, labels, MISSING).astype(np.int8)


def compare_sides(
    labels: Labels,
    first: Side,
    second: Side,
    groups: Sequence[str],
    option_keys: Sequence[str],
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Any]:
    """What separates two readings, on the cells that both have read; differences are first minus second.

    Args:
        labels: int8 (rows, options).
        first, second: the readings.
        groups: the group of each row.
        option_keys: names of the columns.
        seed, draws: of the bootstrap.

    Returns:
        JSON-ready but for NaN (`models.training.metrics.plain` makes it None): rows, cells, groups, draws, macro
        with f1 and average_precision as {first, second, difference, interval}, and options with the same, McNemar's counts
        and p-values. always_no stands beside every accuracy.
    """
    common = common_cells(labels, first, second)
    rows = np.flatnonzero((common != MISSING).any(axis=1))
    common = common[rows]
    codes = group_codes([groups[row] for row in rows.tolist()])
    drawn = group_draws(int(codes.max(initial=-1)) + 1, draws, seed)
    if not len(rows):
        return {"rows": 0, "cells": 0, "groups": 0, "draws": 0, "macro": {}, "options": []}
    spreads = (
        bootstrap(common, first.probabilities[rows], first.decisions[rows], codes, drawn),
        bootstrap(common, second.probabilities[rows], second.decisions[rows], codes, drawn),
    )
    tests = mcnemar(common, first.decisions[rows], second.decisions[rows])
    options = [
        _option(key, column, common[:, column], spreads, tests[column])
        for column, key in enumerate(option_keys)
        if (common[:, column] != MISSING).any()
    ]
    return {
        "rows": len(rows),
        "cells": int((common != MISSING).sum()),
        "groups": len(drawn),
        "draws": drawn.shape[1] - 1,
        "macro": {name: _difference(*(macro(spread, name) for spread in spreads)) for name in COMPARED},
        "options": with_holm(options),
    }


def _option(
    key: str, column: int, labels: NDArray[np.int8], spreads: tuple[Spread, Spread], test: dict[str, Any]
) -> dict[str, Any]:
    first, second = spreads
    return {
        "key": key,
        "support": int((labels != MISSING).sum()),
        "positives": int((labels == YES).sum()),
        "always_no": float(first["always_no"][0, column]),
        "accuracy": [float(spread["accuracy"][0, column]) for spread in spreads],
        **{name: _difference(first[name][:, column], second[name][:, column]) for name in COMPARED},
        **test,
    }


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> dict[str, Any]:
    spread = first - second
    return {
        "first": float(first[0]),
        "second": float(second[0]),
        "difference": float(spread[0]),
        "interval": interval(spread),
    }


def mcnemar(labels: Labels, first: Labels, second: Labels) -> list[dict[str, Any]]:
    """McNemar's exact test of each option: {only_first_right, only_second_right, p} in column order.

    Args:
        labels: int8 (rows, options); MISSING cells are left out.
        first, second: decisions, int8 (rows, options).
    """
    known = (labels != MISSING) & (first != MISSING) & (second != MISSING)
    right, other = first == labels, second == labels
    ours, theirs = (known & right & ~other).sum(axis=0), (known & other & ~right).sum(axis=0)
    return [
        {"only_first_right": int(a), "only_second_right": int(b), "p": exact_p(int(a), int(b))}
        for a, b in zip(ours, theirs, strict=True)
    ]


def exact_p(first: int, second: int) -> float:
    """Two-sided p-value of `first` against `second` discordant cells under a fair coin; 1 without any."""
    total, low = first + second, min(first, second)
    if not total:
        return 1.0
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(low + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(value) for value in logs))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for how many there are, in their order (Holm's step-down procedure)."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def with_holm(options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The options with `p_holm` beside `p`, over all of them together."""
    corrected = holm([option["p"] for option in options])
    return [{**option, "p_holm": value} for option, value in zip(options, corrected, strict=True)]
