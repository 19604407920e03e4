"""Weighted logistic regression around a prior, with a covariance that holds for weights and clusters.

Newton's method on the penalised weighted likelihood; the covariance is the sandwich H⁻¹ (Σ_clusters g gᵀ) H⁻¹ (Huber 1967; Binder
1983 for survey weights). Outcomes may be shares. `models.training.logistic` has neither weights nor covariances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.training.logistic import sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_STEPS = 60
_SETTLED = 1e-8


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients and their covariance."""

    coefficients: Vector
    """float64 (features,)."""
    covariance: Matrix
    """float64 (features, features)."""


def fit_weighted(
    design: Matrix,
    outcome: Vector,
    weights: Vector,
    prior: Vector,
    precision: Vector,
    clusters: NDArray[np.int64] | None = None,
) -> Fit:
    """The maximum a posteriori fit.

    Args:
        design: float64 (rows, features); an intercept is a column of ones.
        outcome: float64 (rows,), 0 … 1.
        weights: float64 (rows,); brought to add up to Kish's effective number of rows, (Σ w)² / Σ w², so that priors weigh as much
            against an uneven sample as they should.
        prior: mean of each coefficient.
        precision: inverse variance of each coefficient around it, above 0.
        clusters: int64 (rows,), counted from 0; rows of one cluster are not independent. None: every row for itself.
    """
    scaled = weights * weights.sum() / (weights**2).sum()
    found = prior.astype(np.float64).copy()
    value = _objective(found, design, outcome, scaled, prior, precision)
    for _ in range(_STEPS):
        said = sigmoid(design @ found)
        gradient = design.T @ (scaled * (outcome - said)) - precision * (found - prior)
        step = np.linalg.solve(_information(design, scaled, said, precision), gradient)
        size = 1.0
        while (tried := _objective(found + size * step, design, outcome, scaled, prior, precision)) > value:
            size /= 2
            if size < _SETTLED:
                break
        found = found + size * step if tried <= value else found
        if value - tried <= _SETTLED:
            break
        value = tried
    return Fit(found, _sandwich(found, design, outcome, scaled, precision, clusters))


def _objective(
    found: Vector, design: Matrix, outcome: Vector, weights: Vector, prior: Vector, precision: Vector
) -> float:
    """Penalised negative log likelihood."""
    values = design @ found
    loss = np.logaddexp(0.0, values) - outcome * values
    return float(weights @ loss + 0.5 * (precision * (found - prior) ** 2).sum())


def _information(design: Matrix, weights: Vector, said: Vector, precision: Vector) -> Matrix:
    return np.asarray(design.T @ (design * (weights * said * (1 - said))[:, None]) + np.diag(precision))


def _sandwich(
    found: Vector,
    design: Matrix,
    outcome: Vector,
    weights: Vector,
    precision: Vector,
    clusters: NDArray[np.int64] | None,
) -> Matrix:
    said = sigmoid(design @ found)
    bread = np.linalg.inv(_information(design, weights, said, precision))
    scores = design * (weights * (outcome - said))[:, None]
    if clusters is not None:
        summed = np.zeros((int(clusters.max()) + 1, design.shape[1]))
        np.add.at(summed, clusters, scores)
        scores = summed
    middle = scores.T @ scores + np.diag(precision)
    return np.asarray(bread @ middle @ bread)
