"""Expert labels predicted for all texts, by fits that left each text out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.estimates.draws import ExpertSample
from models.estimates.weighted_logistic import fit_weighted
from models.training.logistic import logit, sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FOLDS = 5
_LEAST = 1e-3
_PRECISION = 1.0
"""Of every slope around 0, for features of unit spread; the intercept is almost free."""


def label_features(student: NDArray[np.int8], probability: NDArray[np.floating]) -> Matrix:
    """What an expert label is predicted from: the student's label (missing for itself), the model's log-odds, and their product.

    Args:
        student: int8 (texts,), 1 yes, 0 no, -1 missing.
        probability: (texts,), held out; NaN where there is none.
    """
    known, told = student >= 0, np.isfinite(probability)
    signed = np.where(known, 2.0 * student - 1.0, 0.0)
    odds = np.where(told, logit(np.nan_to_num(probability, nan=0.5), _LEAST), 0.0)
    return np.column_stack([signed, odds, signed * odds, ~known, ~told]).astype(np.float64)


def cross_fitted_labels(
    labels: Vector, features: Matrix, sample: ExpertSample, folds: int = FOLDS, seed: int = 0
) -> Vector:
    """Predicted expert labels of every text, by a fit that saw neither its own expert label nor its cluster's: float64 (texts,).

    Args:
        labels: float64 (texts,), expert labels 0 or 1; ignored where not sampled.
        features: float64 (texts, features), for example `label_features` with covariates beside.
        sample: the design.
        folds: parts of the clusters.
        seed: of the parts.
    """
    design = _standardised(features)
    groups = sample.groups
    parts = np.random.default_rng(seed).permutation(int(groups.max()) + 1) % folds
    part = parts[groups]
    prior = np.zeros(design.shape[1])
    precision = np.full(design.shape[1], _PRECISION)
    precision[0] = 0.01
    predicted = np.zeros(len(labels))
    for fold in range(folds):
        rows = np.flatnonzero(sample.sampled & (part != fold))
        fit = fit_weighted(design[rows], labels[rows], 1 / sample.inclusion[rows], prior, precision)
        predicted[part == fold] = sigmoid(design[part == fold] @ fit.coefficients)
    return predicted


def _standardised(features: Matrix) -> Matrix:
    """An intercept and the features at mean 0 and spread 1; constant ones stay 0."""
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.column_stack([np.ones(len(features)), scaled])
