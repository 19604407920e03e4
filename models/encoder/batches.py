"""Token-budget batches: sequences of like length together, so that little is spent on padding. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

CPU_BUDGET = 2048
GPU_BUDGET = 32_768
_SHUFFLE_SPAN = 16
"""Training batches are cut from runs of this many batches sorted by length: little padding, and still a random order."""


def token_batches(lengths: NDArray[np.int64], budget: int) -> list[Rows]:
    """Rows in batches of at most `budget` padded tokens (one row at least), longest first.

    Args:
        lengths: int64 (rows), tokens of each row.
        budget: rows of a batch times its longest row stay within it.
    """
    order = np.argsort(-lengths, kind="stable")
    return _cut(order, lengths, budget)


def flat_batches(lengths: NDArray[np.int64], budget: int) -> list[Rows]:
    """Rows in batches of at most `budget` tokens (one row at least), longest first, for streams without padding.

    Args:
        lengths: int64 (rows), tokens of each row.
        budget: tokens of a batch.
    """
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    batches: list[Rows] = []
    start = 0
    while start < len(order):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + budget, side="right")))
        batches.append(order[start:stop])
        start = stop
    return batches


def shuffled_batches(
    lengths: NDArray[np.int64], budget: int, generator: np.random.Generator, rows: Sequence[int] | Rows
) -> list[Rows]:
    """`rows` once each, in token-budget batches of like length, in random order: one epoch.

    Args:
        lengths: int64 (all rows).
        budget: padded tokens per batch.
        generator: draws the order; its state is part of a checkpoint.
        rows: the rows to use.
    """
    order = generator.permutation(np.asarray(rows, dtype=np.int64))
    mean = max(1.0, float(lengths[order].mean())) if len(order) else 1.0
    span = max(1, int(_SHUFFLE_SPAN * budget / mean))
    batches: list[Rows] = []
    for start in range(0, len(order), span):
        run = order[start : start + span]
        batches.extend(_cut(run[np.argsort(-lengths[run], kind="stable")], lengths, budget))
    return [batches[index] for index in generator.permutation(len(batches))]


def padded_tokens(batches: Sequence[Rows], lengths: NDArray[np.int64]) -> int:
    """Tokens that batches cost, padding included."""
    return int(sum(len(batch) * int(lengths[batch].max()) for batch in batches))


def _cut(order: Rows, lengths: NDArray[np.int64], budget: int) -> list[Rows]:
    batches: list[Rows] = []
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        count = max(1, budget // longest)
        batches.append(order[start : start + count])
        start += count
    return batches
