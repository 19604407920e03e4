"""Means of scores with intervals by group, alone and as paired differences: a bootstrap over groups (Efron and Tibshirani 1993)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation.resampling import interval

_CHUNK = 4096
"""Groups whose weights are held as floats at a time."""


def mean_draws(
    scores: NDArray[np.float64], groups: NDArray[np.int64], drawn: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Mean of every column under every draw: float64 (1 + draws, columns), the first row the sample itself.

    Args:
        scores: float64 (items, columns); NaN where there is none.
        groups: int64 (items), from `resampling.group_codes`.
        drawn: uint8 (groups, 1 + draws), from `resampling.group_draws`, of these groups.
    """
    known = np.isfinite(scores)
    return ratio_draws(np.where(known, scores, 0.0), known.astype(np.float64), groups, drawn)


def ratio_draws(
    parts: NDArray[np.float64],
    wholes: NDArray[np.float64],
    groups: NDArray[np.int64],
    drawn: NDArray[np.uint8],
) -> NDArray[np.float64]:
    """Sum of parts over sum of wholes under every draw: float64 (1 + draws, columns); NaN where the wholes are nothing.

    Args:
        parts, wholes: float64 (items, columns), such as a document's nats and its tokens.
        groups, drawn: as for `mean_draws`.
    """
    shape = (len(drawn), parts.shape[1])
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, groups, parts)
    np.add.at(counts, groups, wholes)
    total, number = (np.zeros((drawn.shape[1], parts.shape[1])) for _ in range(2))
    for start in range(0, len(drawn), _CHUNK):
        weights = drawn[start : start + _CHUNK].T.astype(np.float64)
        total += weights @ sums[start : start + _CHUNK]
        number += weights @ counts[start : start + _CHUNK]
    found: NDArray[np.float64] = np.full_like(total, np.nan)
    np.divide(total, number, out=found, where=number > 0)
    return found


def mean_with_interval(
    scores: NDArray[np.float64], groups: NDArray[np.int64], drawn: NDArray[np.uint8]
) -> list[dict[str, Any]]:
    """Of each column {mean, interval, items}; None where nothing is defined, or one group says nothing of others."""
    spread = mean_draws(scores, groups, drawn)
    return [
        {
            "mean": _number(spread[0, column]),
            "interval": _interval(spread[:, column]),
            "items": int(np.isfinite(scores[:, column]).sum()),
        }
        for column in range(scores.shape[1])
    ]


def paired_differences(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    groups: NDArray[np.int64],
    drawn: NDArray[np.uint8],
) -> list[dict[str, Any]]:
    """Of each column {difference, interval, items}: the mean of first minus second over the items that both have.

    Args:
        first, second: float64 (items, columns), row by row of the same items.
        groups, drawn: as for `mean_draws`.
    """
    return [
        {"difference": found.pop("mean"), **found}
        for found in mean_with_interval(first - second, groups, drawn)
    ]


def _interval(values: NDArray[np.float64]) -> list[float] | None:
    found = interval(values)
    return None if found is None else [round(end, 6) for end in found]


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
