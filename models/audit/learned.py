"""What decided cells teach the next ranking: which options' suspicions came true more often than others'.

Decisions come from the queue, so they are no random sample: they may reorder what is left, never say how much of it is
wrong. What they have in common (the overall rate) is fitted and thrown away; only how options differ is used, shrunk to nothing
where few were decided. (A logistic regression with the suspicion's log-odds as offset: random intercepts by option.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.logistic import logit, sigmoid

FEWEST = 20
"""Decisions below which nothing is learnt."""
PRECISION = 4.0
"""Prior precision of how an option differs: half a unit of log-odds either way is ordinary."""
_LEAST = 1e-4
_STEPS = 30


@dataclass(frozen=True, slots=True)
class Decided:
    """Cells that people decided blind, each with the suspicion that it had before. All (decisions,)."""

    suspicion: NDArray[np.float64]
    cell: NDArray[np.int64]
    """Place in `Scheme.cells`."""
    wrong: NDArray[np.bool_]
    """Whether the decision differs from the given value."""


def learned_shifts(decided: Decided, cells: int) -> NDArray[np.float64]:
    """How much more often than suspicion says each cell of the scheme was wrong, in log-odds around their mean: float64 (cells,).

    Zero everywhere below FEWEST decisions, and where a cell had none.
    """
    if len(decided.wrong) < FEWEST:
        return np.zeros(cells)
    seen = np.bincount(decided.cell, minlength=cells)
    design = np.zeros((len(decided.wrong), cells + 1))
    design[np.arange(len(design)), decided.cell] = 1.0
    design[:, cells] = 1.0
    precision = np.append(np.full(cells, PRECISION), 1e-3)
    offset = logit(decided.suspicion, _LEAST)
    found = np.zeros(cells + 1)
    for _ in range(_STEPS):
        expected = sigmoid(offset + design @ found)
        gradient = design.T @ (expected - decided.wrong) + precision * found
        hessian = (design * (expected * (1 - expected))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        found -= np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return np.where(seen > 0, found[:cells], 0.0)


def reordered(scores: NDArray[np.float32], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Suspicion moved by what was learnt of each cell of the scheme: float32 (texts, cells); NaN stays NaN."""
    moved = sigmoid(logit(scores.astype(np.float64), _LEAST) + shifts)
    return np.where(np.isfinite(scores), moved, np.nan).astype(np.float32)
