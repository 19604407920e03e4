"""Scores that need nothing but probabilities and given values: self-confidence, margin, pairs of values, confident-learning thresholds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.scheme import NO, YES, Cell, Labels, Scheme

Matrix = NDArray[np.float64]
Scores = NDArray[np.float32]
"""Suspicion: float32 (texts, cells) in `Scheme.cells` order, 0 … 1; NaN where the cell is not audited."""
_Rule = Callable[[Matrix, NDArray[np.bool_]], Matrix]
"""From the probabilities of a cell's values and the given one to suspicion, float64 (texts)."""


def self_confidence(probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme) -> Scores:
    """1 minus the probability of the given value: float32 (texts, cells), NaN where not audited.

    The plain score that any other has to beat (Northcutt et al. 2021).
    """
    return _scored(probabilities, labels, scheme, lambda found, given: 1 - _of_given(found, given))


def margin(probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme) -> Scores:
    """Half of 1 minus (probability of the given value less that of the likeliest other): float32 (texts, cells).

    A yes_no cell has one other value, so this differs from self-confidence in choose_one cells alone.
    """

    def suspicion(found: Matrix, given: NDArray[np.bool_]) -> Matrix:
        other = np.where(given, -np.inf, found).max(axis=1)
        return np.asarray(0.5 * (1 - (_of_given(found, given) - np.where(np.isfinite(other), other, 0.0))))

    return _scored(probabilities, labels, scheme, suspicion)


def pairwise(probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme) -> Scores:
    """Probability of the likeliest other value were it that one or the given one: float32 (texts, cells).

    A yes_no cell has one other value, so this is self-confidence there. Of several answers it is .5 where another is as likely as the given
    one, however many more the model cannot rule out, and an answer that is taken for one like it is not lost among those.
    """

    def suspicion(found: Matrix, given: NDArray[np.bool_]) -> Matrix:
        other = np.where(given, -np.inf, found).max(axis=1)
        own = _of_given(found, given)
        total = own + other
        return np.asarray(np.where(total > 0, other / np.where(total > 0, total, 1.0), 0.5 + 0.0 * own))

    return _scored(probabilities, labels, scheme, suspicion)


def confident_learning(probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme) -> Scores:
    """Self-confidence after each value's own confident threshold has been taken off: float32 (texts, cells).

    The threshold of a value is its mean probability where it was given (Northcutt et al. 2021, section 3), so that a
    rare value, which no model gives much probability, is not suspicious for its rarity alone.
    """

    def suspicion(found: Matrix, given: NDArray[np.bool_]) -> Matrix:
        known = np.isfinite(found).all(axis=1, keepdims=True) & given
        counted = known.sum(axis=0)
        sums = np.where(known, found, 0.0).sum(axis=0)
        thresholds = np.where(counted > 0, sums / np.maximum(counted, 1), 1.0)
        shifted = found - thresholds + thresholds.max()
        return np.asarray(1 - _of_given(shifted, given) / shifted.sum(axis=1))

    return _scored(probabilities, labels, scheme, suspicion)


def cell_values(
    probabilities: NDArray[np.floating], labels: Labels, cell: Cell
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Probability of every value of a cell, float64 (texts, values), and which one was given, bool of that shape.

    A yes_no cell has the values no and yes; the options of a choose_one question are made to sum to one. Rows without a
    given value are all False.
    """
    columns = list(cell.positions)
    found, given = probabilities[:, columns].astype(np.float64), labels[:, columns]
    if cell.option is not None:
        return np.column_stack([1 - found[:, 0], found[:, 0]]), given == np.array([[NO, YES]])
    total = found.sum(axis=1, keepdims=True)
    return found / np.where(total > 0, total, 1.0), given == YES


def _scored(probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme, suspicion: _Rule) -> Scores:
    return np.column_stack([_cell(probabilities, labels, cell, suspicion) for cell in scheme.cells])


def _cell(probabilities: NDArray[np.float32], labels: Labels, cell: Cell, suspicion: _Rule) -> Scores:
    found, given = cell_values(probabilities, labels, cell)
    return np.where(given.any(axis=1), suspicion(found, given), np.nan).astype(np.float32)


def _of_given(found: Matrix, given: NDArray[np.bool_]) -> Matrix:
    return np.asarray(np.where(given, found, 0.0).sum(axis=1) + 0.0 * found.sum(axis=1))
