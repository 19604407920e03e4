"""From suspicion to error probability: claimed only from about 200 blind decisions of an audit sample on.

Platt's (1999) line on the log-odds of suspicion, weighted by 1 / π and drawn towards suspicion itself (slope 1), with one bend where
half of the expected errors lie, drawn weakly towards none. With many decisions an isotonic step curve is averaged with it, if
that foretells texts left out better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from models.audit.sample.design import AuditSample
from models.estimates.weighted_logistic import Fit, fit_weighted
from models.training.logistic import logit, sigmoid

Vector = NDArray[np.float64]

FEWEST_DECISIONS = 200
FEWEST_ERRORS = 5
"""Wrong ones, and right ones, below which nothing is claimed. Not higher: whoever waits for luck claims too much."""
ISOTONIC_FROM = 1000
"""Decisions from which a step curve is tried."""
FOLDS = 10
_CROSSED = 5
_LEAST = 1e-4
_PRIOR = np.array([0.0, 1.0, 0.0])
_PRECISION = np.array([0.01, 1.0, 0.25])
_LINE = 2
"""Coefficients of the line without its bend."""
_FLATTEST = 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted map from suspicion to error probability."""

    coefficients: Vector
    """float64 (3,): intercept, slope, and how much steeper it is above the bend."""
    bend: float
    """Log-odds of suspicion at which half of the expected errors lie above."""
    covariance: NDArray[np.float64]
    """float64 (3, 3), of the coefficients; decisions of one text are one cluster."""
    steps: tuple[Vector, Vector] | None
    """Knots of the isotonic curve over suspicion and its values, averaged with Platt's; None where it was not needed."""
    decisions: int
    errors: int

    def apply(self, suspicion: NDArray[np.floating]) -> Vector:
        """Error probabilities, float64 of the same shape; NaN stays NaN. Rises with suspicion, strictly."""
        values = np.asarray(suspicion, dtype=np.float64)
        platt = np.where(np.isfinite(values), sigmoid(self.design(values) @ self.coefficients), np.nan)
        if self.steps is None:
            return platt
        stepped = np.interp(values, *self.steps)
        return np.asarray(np.where(np.isfinite(values), (platt + stepped) / 2, np.nan))

    def design(self, suspicion: Vector) -> NDArray[np.float64]:
        """What the coefficients stand before: float64 (…, 3)."""
        return _design(suspicion, self.bend)


@dataclass(frozen=True, slots=True)
class NotCalibrated:
    """Why suspicion stays suspicion."""

    reason: str
    decisions: int
    errors: int


def calibrate(
    suspicion: Vector, wrong: NDArray[np.bool_], inclusion: Vector, texts: NDArray[np.int64]
) -> Calibration | NotCalibrated:
    """Fit error probabilities on the decisions of an audit sample.

    Args:
        suspicion: float64 (decisions,), of the decided cells, from a ranking that saw none of these decisions.
        wrong: bool (decisions,).
        inclusion: float64 (decisions,), π of each cell's text.
        texts: int64 (decisions,), which text each cell belongs to.
    """
    errors = int(wrong.sum())
    refused = _refusal(len(wrong), errors)
    if refused:
        return NotCalibrated(refused, len(wrong), errors)
    clusters = np.unique(texts, return_inverse=True)[1].astype(np.int64)
    fit, bend = _fit(suspicion, wrong.astype(np.float64), 1 / inclusion, clusters)
    steps = None
    if len(wrong) >= ISOTONIC_FROM and _steps_help(suspicion, wrong, 1 / inclusion, clusters):
        steps = _isotonic(suspicion, wrong, 1 / inclusion)
    return Calibration(fit.coefficients, bend, fit.covariance, steps, len(wrong), errors)


def cross_fitted(
    sample: AuditSample,
    scores: Vector,
    wrong: NDArray[np.int64],
    cells: NDArray[np.int64],
    folds: int = FOLDS,
) -> Vector:
    """Expected wrong cells of each drawn text minus their mean over its stratum, by a fit that left the text out.

    For `totals.difference_estimate`. Float64 (drawn,).

    Args:
        sample: the design.
        scores: float64 (texts,), 0 … 1, one score per text of the frame (NaN counts as the lowest).
        wrong: int64 (drawn,), wrong cells of each drawn text, skipped ones among them.
        cells: int64 (texts,), cells of each text of the frame.
        folds: parts that the drawn texts are crossed over, in the order of reading (which is random).
    """
    known = np.nan_to_num(scores, nan=0.0)
    drawn, strata = sample.rows, sample.strata
    share = wrong / np.maximum(cells[drawn], 1)
    part = np.arange(len(drawn)) % min(folds, len(drawn))
    centred = np.zeros(len(drawn))
    for fold in np.unique(part):
        fitted, left_out = part != fold, part == fold
        weights = cells[drawn] / sample.inclusion
        fit, bend = _fit(known[drawn[fitted]], share[fitted], weights[fitted])
        expected = cells * sigmoid(_design(known, bend) @ fit.coefficients)
        means = np.bincount(sample.stratum, expected, minlength=len(sample.sizes)) / sample.sizes
        centred[left_out] = expected[drawn[left_out]] - means[strata[left_out]]
    return centred


def brier_skill(probabilities: Vector, wrong: NDArray[np.bool_], weights: Vector) -> float:
    """1 − the weighted Brier score over that of the weighted error rate alone; above 0: the probabilities say something."""
    rate = np.average(wrong, weights=weights)
    plain = rate * (1 - rate)
    return (
        float(1 - np.average((probabilities - wrong) ** 2, weights=weights) / plain)
        if plain
        else float("nan")
    )


def observed_and_expected(
    probabilities: Vector, wrong: NDArray[np.bool_] | Vector, weights: Vector, bins: int = 5
) -> tuple[Vector, Vector]:
    """Weighted sums of errors and of their probabilities, overall and in bins of equal expected errors from the least suspicious up.

    Float64 (1 + bins,) each.

    Over several samples add both up: the mean of their ratios is too high where few errors are expected.
    """
    order = np.argsort(probabilities, kind="stable")
    expected, observed = (probabilities * weights)[order], (wrong * weights)[order]
    place = np.minimum((np.cumsum(expected) / expected.sum() * bins - 1e-9).astype(np.int64), bins - 1)
    above, below = np.bincount(place, observed, bins), np.bincount(place, expected, bins)
    return np.append(observed.sum(), above), np.append(expected.sum(), below)


def _refusal(decisions: int, errors: int) -> str | None:
    if decisions < FEWEST_DECISIONS:
        return f"{decisions} blind decisions; error probabilities are claimed from {FEWEST_DECISIONS} on"
    if errors < FEWEST_ERRORS:
        return f"{errors} wrong labels among {decisions} decisions; at least {FEWEST_ERRORS} are needed"
    if decisions - errors < FEWEST_ERRORS:
        return f"{decisions - errors} right labels among {decisions} decisions; at least {FEWEST_ERRORS} are needed"
    return None


def _fit(
    suspicion: Vector, share: Vector, weights: Vector, clusters: NDArray[np.int64] | None = None
) -> tuple[Fit, float]:
    """The bent line and where it bends. It never falls: slopes below are cut off at almost flat."""
    line = fit_weighted(
        _design(suspicion, np.inf)[:, :_LINE], share, weights, _PRIOR[:_LINE], _PRECISION[:_LINE]
    )
    order = np.argsort(suspicion, kind="stable")
    expected = (weights * sigmoid(_design(suspicion, np.inf)[:, :_LINE] @ line.coefficients))[order]
    middle = int(np.searchsorted(np.cumsum(expected), expected.sum() / 2))
    bend = float(logit(suspicion[order[middle]], _LEAST))
    fit = fit_weighted(_design(suspicion, bend), share, weights, _PRIOR, _PRECISION, clusters)
    intercept, slope, more = fit.coefficients
    slope = max(float(slope), _FLATTEST)
    return Fit(np.array([intercept, slope, max(float(more), _FLATTEST - slope)]), fit.covariance), bend


def _design(suspicion: Vector, bend: float) -> NDArray[np.float64]:
    values = np.asarray(logit(np.asarray(suspicion, dtype=np.float64), _LEAST))
    return np.stack([np.ones_like(values), values, np.maximum(values - bend, 0.0)], axis=-1)


def _isotonic(suspicion: Vector, wrong: NDArray[np.bool_], weights: Vector) -> tuple[Vector, Vector]:
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        suspicion, wrong.astype(np.float64), sample_weight=weights
    )
    return fitted.X_thresholds_.astype(np.float64), fitted.y_thresholds_.astype(np.float64)


def _steps_help(
    suspicion: Vector, wrong: NDArray[np.bool_], weights: Vector, clusters: NDArray[np.int64]
) -> bool:
    """Whether averaging in the steps lowers the squared error of left-out texts."""
    gain = 0.0
    outcome = wrong.astype(np.float64)
    for fold in range(_CROSSED):
        out = clusters % _CROSSED == fold
        fit, bend = _fit(suspicion[~out], outcome[~out], weights[~out])
        platt = np.asarray(sigmoid(_design(suspicion[out], bend) @ fit.coefficients))
        mixed = (
            platt + np.interp(suspicion[out], *_isotonic(suspicion[~out], wrong[~out], weights[~out]))
        ) / 2
        gain += float(weights[out] @ ((platt - outcome[out]) ** 2 - (mixed - outcome[out]) ** 2))
    return gain > 0
