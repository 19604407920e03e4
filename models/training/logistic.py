"""Penalised logistic regression around a prior mean, by Newton's method: what calibration and suspicion are fitted with.

scikit-learn's draws every coefficient to zero; here each has a prior mean and precision of its own, so that a reading
with little data falls back on what is known already instead of on nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Design = NDArray[np.float64] | NDArray[np.float32]

_STEPS = 50
_SMALL = 1e-7
"""Gain in log likelihood per row below which the fit has settled; about what float32 can tell."""


def logit(probabilities: NDArray[Any] | float, least: float = 1e-6) -> Any:
    """Log-odds, with probabilities kept `least` away from 0 and 1."""
    clipped = np.clip(probabilities, least, 1 - least)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(values: NDArray[Any] | float) -> Any:
    """Inverse of `logit`, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values)))


def fit_logistic(
    design: Design,
    truth: Vector,
    prior: Vector,
    precision: Vector,
    lowest: Vector | None = None,
    start: Vector | None = None,
    hessian: Design | None = None,
) -> Vector:
    """Coefficients of the maximum a posteriori fit: float64 (features).

    Args:
        design: float32 or float64 (rows, features); an intercept is a column of ones.
        truth: float64 (rows), 0 or 1.
        prior: mean of each coefficient.
        precision: inverse variance of each coefficient around its mean, above 0.
        lowest: lower bound of each coefficient (-inf for none).
        start: where to begin; the prior mean by default.
        hessian: float64 (features, features), from `curvature` near the fit; spares computing it at every step.
    """
    bound = np.full(len(prior), -np.inf) if lowest is None else lowest
    found = np.maximum(prior if start is None else start, bound)
    values = _values(design, found)
    small = _SMALL * len(truth)
    loss = _loss(found, values, truth, prior, precision)
    for _ in range(_STEPS):
        step = _newton_step(found, values, design, truth, prior, precision, hessian)
        size = 1.0
        while True:
            tried = np.maximum(found - size * step, bound)
            values = _values(design, tried)
            after = _loss(tried, values, truth, prior, precision)
            if after <= loss + small or size < 1e-4:
                break
            size /= 2
        if after > loss + small:
            break
        settled = loss - after <= small
        found, loss = tried, after
        if settled:
            break
    return found


def _values(design: Design, found: Vector) -> Vector:
    values: Vector = (design @ found.astype(design.dtype)).astype(np.float64)
    return values


def curvature(design: Design, found: Vector, precision: Vector) -> NDArray[np.float64]:
    """Hessian of the loss at some coefficients: float64 (features, features)."""
    return _hessian(design, _probability(design, _values(design, found)), precision)


def _probability(design: Design, values: Vector) -> Design:
    """In the precision of the design: what follows is no finer, and float32 takes a third of the time."""
    found: Design = sigmoid(values.astype(design.dtype))
    return found


def _hessian(design: Design, probability: Design, precision: Vector) -> NDArray[np.float64]:
    weight = probability * (1 - probability)
    return np.asarray((design * weight[:, None]).T @ design + np.diag(precision))


def _newton_step(
    found: Vector,
    values: Vector,
    design: Design,
    truth: Vector,
    prior: Vector,
    precision: Vector,
    hessian: Design | None,
) -> Vector:
    probability = _probability(design, values)
    missed = probability - truth.astype(design.dtype)
    gradient = design.T @ missed + precision * (found - prior)
    bent = _hessian(design, probability, precision) if hessian is None else hessian
    return np.asarray(np.linalg.solve(bent, gradient))


def _loss(found: Vector, values: Vector, truth: Vector, prior: Vector, precision: Vector) -> float:
    fit = np.maximum(values, 0) - truth * values + np.log1p(np.exp(-np.abs(values)))
    return float(fit.sum() + 0.5 * (precision * (found - prior) ** 2).sum())
