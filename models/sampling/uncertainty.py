"""How doubtful a model is about a text: entropy or margin of its calibrated probabilities (Settles, 2009, Active Learning Literature Survey)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.scheme import Scheme

Measure = Literal["entropy", "margin"]


def uncertainty(probabilities: NDArray[np.float32], scheme: Scheme, measure: Measure) -> NDArray[np.float64]:
    """Doubt of each text: float64 (texts), 0 (sure of every cell) … 1, NaN where the text has no prediction.

    Args:
        probabilities: calibrated, float32 (texts, options) in the scheme's order; NaN where there is none.
        scheme: cells of one option are yes or no; a choose_one question is one cell.
        measure: `entropy`, the mean over cells of the entropy, as a share of the highest possible; or `margin`, the
            largest over cells of 1 minus the distance of the two likeliest answers: the closest call decides.
    """
    doubts = np.full((len(probabilities), len(scheme.cells)), np.nan)
    for place, cell in enumerate(scheme.cells):
        found = probabilities[:, list(cell.positions)].astype(np.float64)
        answers = _answers(found, single=cell.option is not None)
        known = np.isfinite(answers).all(axis=1)
        doubts[known, place] = (_entropy if measure == "entropy" else _closeness)(answers[known])
    told = np.isfinite(doubts)
    result = np.full(len(probabilities), np.nan)
    if not told.any():
        return result
    some = told.any(axis=1)
    if measure == "entropy":
        result[some] = np.nansum(doubts[some], axis=1) / told[some].sum(axis=1)
    else:
        result[some] = np.nanmax(doubts[some], axis=1)
    return result


def _answers(found: NDArray[np.float64], *, single: bool) -> NDArray[np.float64]:
    """Probabilities of a cell's answers, summing to one: float64 (texts, answers)."""
    if single:
        return np.column_stack([found[:, 0], 1 - found[:, 0]])
    total = found.sum(axis=1, keepdims=True)
    return np.asarray(found / np.where(total > 0, total, 1.0))


def _entropy(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    if answers.shape[1] < 2:
        return np.zeros(len(answers))
    logs = np.log(np.where(answers > 0, answers, 1.0))
    return np.asarray(-(answers * logs).sum(axis=1) / np.log(answers.shape[1]))


def _closeness(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    if answers.shape[1] < 2:
        return np.zeros(len(answers))
    highest = np.sort(answers, axis=1)
    return np.asarray(1 - (highest[:, -1] - highest[:, -2]))
