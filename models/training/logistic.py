"""Penalised logistic regression around a prior mean, by Newton's method: what calibration and suspicion are fitted with.

scikit-learn's draws every coefficient to zero; here each has a prior mean and precision of its own, so that a reading
with little data falls back on what is known already instead of on nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_STEPS = 50
_SMALL = 1e-6


def logit(probabilities: NDArray[Any] | float, least: float = 1e-6) -> Any:
    """Log-odds, with probabilities kept `least` away from 0 and 1."""
    clipped = np.clip(probabilities, least, 1 - least)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(values: NDArray[Any] | float) -> Any:
    """Inverse of `logit`, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values)))


def fit_logistic(
    design: Matrix, truth: Vector, prior: Vector, precision: Vector, lowest: Vector | None = None
) -> Vector:
    """Coefficients of the maximum a posteriori fit: float64 (features).

    Args:
        design: float64 (rows, features); an intercept is a column of ones.
        truth: float64 (rows), 0 or 1.
        prior: mean of each coefficient.
        precision: inverse variance of each coefficient around its mean, above 0.
        lowest: lower bound of each coefficient (-inf for none).
    """
    bound = np.full(len(prior), -np.inf) if lowest is None else lowest
    found = np.maximum(prior, bound)
    loss = _loss(found, design, truth, prior, precision)
    for _ in range(_STEPS):
        step = _newton_step(found, design, truth, prior, precision)
        size = 1.0
        tried = np.maximum(found - step, bound)
        after = _loss(tried, design, truth, prior, precision)
        while after > loss and size > 1e-4:
            size /= 2
            tried = np.maximum(found - size * step, bound)
            after = _loss(tried, design, truth, prior, precision)
        if after > loss:
            break
        moved = float(np.abs(tried - found).max())
        found, loss = tried, after
        if moved < _SMALL:
            break
    return found


def _newton_step(found: Vector, design: Matrix, truth: Vector, prior: Vector, precision: Vector) -> Vector:
    probability = sigmoid(design @ found)
    gradient = design.T @ (probability - truth) + precision * (found - prior)
    weight = probability * (1 - probability)
    hessian = (design * weight[:, None]).T @ design + np.diag(precision)
    return np.asarray(np.linalg.solve(hessian, gradient))


def _loss(found: Vector, design: Matrix, truth: Vector, prior: Vector, precision: Vector) -> float:
    value = design @ found
    fit = np.logaddexp(0.0, value) - truth * value
    return float(fit.sum() + 0.5 * (precision * (found - prior) ** 2).sum())
