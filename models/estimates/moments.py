"""Estimating equations from all texts' predictions and a designed sample: the solver and its standard errors.

Each text contributes λ m̂ᵢ + (Rᵢ / πᵢ)(mᵢ − λ m̂ᵢ): m̂ᵢ is the moment with the predicted label, mᵢ with the expert's. The sum has mean
zero at the truth whatever the predictions are worth (Egami, Hinck, Stewart and Wei 2023, 2024, design-based supervised
learning; for a label that is the outcome of a linear model this is regression on Ỹ = Ŷ + (R/π)(Y − Ŷ)). λ is chosen for the
least variance (PPI++, Angelopoulos, Duchi and Zrnic 2023). Standard errors: sandwich over clusters; the sampled part is
centred within its stratum, as it is drawn without replacement there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.estimates.draws import Draw, ExpertSample
from models.training.logistic import sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Link = Literal["linear", "logistic"]

_STEPS = 100
_SETTLED = 1e-10
_STEEPEST = 15.0
"""Log-odds for one standard deviation of a covariate, above which a fit is taken to have run away."""


@dataclass(frozen=True, slots=True)
class Readings:
    """A regression's outcome and design, once with expert labels and once with predicted ones. Rows are all texts.

    Texts that are not asked about have 0 in every column of both designs: they add nothing to the equation, and stay in the
    sampling design, of which those asked about are a domain.
    """

    outcome: Vector
    """float64 (texts,), with the expert label where the label is the outcome; ignored where not sampled."""
    predicted_outcome: Vector
    design: Matrix
    """float64 (texts, coefficients), with the expert label where it is a covariate; ignored where not sampled."""
    predicted_design: Matrix


@dataclass(frozen=True, slots=True)
class Solution:
    """A solved equation."""

    coefficients: Vector
    covariance: Matrix
    tuning: float
    """λ: 0 leaves the predictions out, 1 takes them in full."""
    freedom: int
    """Degrees of freedom for t quantiles."""


class UnsettledError(ValueError):
    """The equation has no solution that Newton's method finds; too few events, or a covariate that separates them."""


def solve(readings: Readings, sample: ExpertSample, link: Link, tuning: float | None = None) -> Solution:
    """Solve for the coefficients.

    Args:
        readings: outcome and design in both readings.
        sample: the design.
        link: linear or logistic regression.
        tuning: λ; None chooses it.

    Raises:
        UnsettledError: no solution was found.
    """
    back = _scaling(readings.predicted_design)
    scaled = Readings(
        readings.outcome, readings.predicted_outcome, readings.design @ back, readings.predicted_design @ back
    )
    found = _solved(scaled, sample, link, tuning)
    return replace(
        found, coefficients=back @ found.coefficients, covariance=np.asarray(back @ found.covariance @ back.T)
    )


def _scaling(design: Matrix) -> Matrix:
    """What brings covariates to mean 0 and spread 1 where there is an intercept: a year does not drown the rest, whatever its unit.

    Linear without a constant: rows of texts that are not asked about stay 0.
    """
    inside = design[design.any(axis=1)]
    if not len(inside) or not (inside[:, 0] == 1).all():
        return np.eye(design.shape[1])
    spread = inside.std(axis=0)
    back = np.diag(1 / np.where(spread > 0, spread, 1.0))
    back[0, 1:] = -(inside.mean(axis=0) * np.diag(back))[1:]
    return back


def _solved(readings: Readings, sample: ExpertSample, link: Link, tuning: float | None) -> Solution:
    start = _plug_in(readings, link)
    pilot = _root(readings, sample, link, 1.0 if tuning is None else tuning, start)
    if tuning is not None:
        return Solution(
            *_with_covariance(pilot, readings, sample, link, tuning), tuning, _freedom(readings, sample)
        )
    chosen = _least_variance(pilot, readings, sample, link)
    found = _root(readings, sample, link, chosen, pilot)
    return Solution(
        *_with_covariance(found, readings, sample, link, chosen), chosen, _freedom(readings, sample)
    )


def solve_naive(
    outcome: Vector, design: Matrix, link: Link, clusters: NDArray[np.int64] | None = None
) -> Solution:
    """The same regression on labels taken as they are: what is printed beside.

    Raises:
        UnsettledError: no solution was found.
    """
    everyone = ExpertSample(
        np.ones(len(outcome), dtype=np.bool_), np.ones(len(outcome)), np.zeros(len(outcome), dtype=np.int64), clusters
    )  # fmt: skip
    return solve(Readings(outcome, outcome, design, design), everyone, link, 0.0)


def _plug_in(readings: Readings, link: Link) -> Vector:
    """Coefficients from the predictions alone: where the search begins."""
    weights = np.ones(len(readings.predicted_outcome))
    start = np.zeros(readings.predicted_design.shape[1])
    found, settled = _newton(readings.predicted_design, readings.predicted_outcome, weights, link, start)
    return found if settled else start


def _root(readings: Readings, sample: ExpertSample, link: Link, tuning: float, start: Vector) -> Vector:
    """Both readings as one weighted equation: predicted rows weigh λ (1 − R/π), expert rows R/π; weights may be negative."""
    rows, weights = np.flatnonzero(sample.sampled), sample.weights
    if tuning == 0:
        design, outcome, weighed = readings.design[rows], readings.outcome[rows], weights[rows]
    else:
        design = np.concatenate([readings.predicted_design, readings.design[rows]])
        outcome = np.concatenate([readings.predicted_outcome, readings.outcome[rows]])
        weighed = np.concatenate([tuning * (1 - weights), weights[rows]])
    for begin in (start, np.zeros(len(start))):
        found, settled = _newton(design, outcome, weighed, link, begin)
        if settled and not (link == "logistic" and _ran_away(found, design)):
            return found
    raise UnsettledError(
        "the estimating equation has no solution: too few events or a covariate that separates them"
    )


def _ran_away(found: Vector, design: Matrix) -> bool:
    """Whether a slope is that of a covariate that separates the outcome: its equation is solved only at infinity."""
    return bool((np.abs(found) * design[design.any(axis=1)].std(axis=0)).max() > _STEEPEST)


def _newton(
    design: Matrix, outcome: Vector, weights: Vector, link: Link, start: Vector
) -> tuple[Vector, bool]:
    """A root of Σ w x (y − μ), steps halved until it comes nearer; whether it was reached."""
    found = start
    scale = np.abs(weights).sum()
    moment = _moment_sum(design, outcome, weights, link, found)
    for _ in range(_STEPS):
        if np.abs(moment).max() <= _SETTLED * scale:
            return found, True
        try:
            step = np.linalg.solve(_slope_sum(design, weights, link, found), moment)
        except np.linalg.LinAlgError:
            return found, False
        size = 1.0
        while size > 1e-6:
            tried = found + size * step
            after = _moment_sum(design, outcome, weights, link, tried)
            if np.linalg.norm(after) < np.linalg.norm(moment):
                break
            size /= 2
        else:
            return found, bool(np.abs(moment).max() <= 1e-6 * scale)
        found, moment = tried, after
    return found, False


def _means(design: Matrix, link: Link, found: Vector) -> Vector:
    values = design @ found
    return values if link == "linear" else np.asarray(sigmoid(values))


def _moment_sum(design: Matrix, outcome: Vector, weights: Vector, link: Link, found: Vector) -> Vector:
    return np.asarray(design.T @ (weights * (outcome - _means(design, link, found))))


def _slope_sum(design: Matrix, weights: Vector, link: Link, found: Vector) -> Matrix:
    if link == "linear":
        return np.asarray(design.T @ (design * weights[:, None]))
    means = _means(design, link, found)
    return np.asarray(design.T @ (design * (weights * means * (1 - means))[:, None]))


def _bread(found: Vector, readings: Readings, sample: ExpertSample, link: Link, tuning: float) -> Matrix:
    """Inverse of the summed derivative."""
    rows, weights = np.flatnonzero(sample.sampled), sample.weights
    slope = _slope_sum(readings.design[rows], weights[rows], link, found)
    if tuning:
        slope = slope + _slope_sum(readings.predicted_design, tuning * (1 - weights), link, found)
    return np.asarray(np.linalg.inv(slope))


def _influence(found: Vector, readings: Readings, sample: ExpertSample, link: Link) -> tuple[Matrix, Matrix]:
    """Contribution of each cluster, as constant and as factor of λ: float64 (clusters, coefficients) each.

    A text contributes a + (R/π)(r − r̄_h) with r the sampled part, r̄_h its mean over the drawn of the stratum and a the rest plus
    r̄_h: the total is the same, and the variance is that of stratified sampling without replacement. Of several draws each has
    its own share of r, and its own means.
    """
    rows = np.flatnonzero(sample.sampled)
    predicted = readings.predicted_design * (
        readings.predicted_outcome - _means(readings.predicted_design, link, found)
    )[:, None]  # fmt: skip
    expert = np.zeros_like(predicted)
    expert[rows] = (
        readings.design[rows] * (readings.outcome[rows] - _means(readings.design[rows], link, found))[:, None]
    )
    constant, factor = np.zeros_like(expert), predicted.copy()
    for draw in sample.draws:
        constant += _from_draw(draw, expert)
        factor -= _from_draw(draw, predicted)
    groups = sample.groups
    return _summed(constant, groups), _summed(factor, groups)


def _from_draw(draw: Draw, values: Matrix) -> Matrix:
    """Each text's stratum mean, and for texts that were drawn their weighted distance from it: float64 (texts, coefficients)."""
    stratum = draw.variance_strata
    framed, rows = np.flatnonzero(stratum >= 0), np.flatnonzero(draw.sampled)
    strata, here = int(stratum.max()) + 1, stratum[rows]
    weights = 1 / draw.inclusion[rows]
    shared = values[rows] * draw.share[rows, None]
    summed = np.zeros((strata, values.shape[1]))
    np.add.at(summed, here, weights[:, None] * shared)
    drawn = np.bincount(here, minlength=strata).astype(np.float64)
    means = summed / np.maximum(np.bincount(here, weights, strata), 1e-300)[:, None]
    found = np.zeros_like(values)
    found[framed] = means[stratum[framed]]
    wider = np.sqrt(drawn / np.maximum(drawn - 1, 1))[here]
    found[rows] += (weights * wider)[:, None] * (shared - means[here])
    return found


def _summed(values: Matrix, groups: NDArray[np.int64]) -> Matrix:
    summed = np.zeros((int(groups.max()) + 1, values.shape[1]))
    for column in range(values.shape[1]):
        summed[:, column] = np.bincount(groups, values[:, column], minlength=len(summed))
    return summed


def _least_variance(pilot: Vector, readings: Readings, sample: ExpertSample, link: Link) -> float:
    """λ in 0 … 1 for the least variance of the coefficients together, each beside its own without predictions."""
    bread = _bread(pilot, readings, sample, link, 1.0)
    constant, factor = (part @ bread for part in _influence(pilot, readings, sample, link))
    constant, factor = constant - constant.mean(axis=0), factor - factor.mean(axis=0)
    own = np.maximum((constant**2).sum(axis=0), 1e-300)
    together = ((factor**2).sum(axis=0) / own).sum()
    chosen = -((constant * factor).sum(axis=0) / own).sum() / together if together > 0 else 0.0
    return float(np.clip(chosen, 0.0, 1.0))


def _with_covariance(
    found: Vector, readings: Readings, sample: ExpertSample, link: Link, tuning: float
) -> tuple[Vector, Matrix]:
    bread = _bread(found, readings, sample, link, tuning)
    constant, factor = _influence(found, readings, sample, link)
    each = constant + tuning * factor
    # few clusters: G / (G − coefficients), as small samples need it (CR1)
    clusters = len(np.unique(sample.groups[readings.predicted_design.any(axis=1)]))
    middle = each.T @ each * (clusters / max(clusters - len(found), 1))
    return found, np.asarray(bread @ middle @ bread.T)


def _freedom(readings: Readings, sample: ExpertSample) -> int:
    """Clusters, or expert labels where there are fewer, minus the coefficients; of the texts asked about.

    Clusters of unequal size count as fewer, (Σ n)² / Σ n² of their texts: one that holds much of the corpus makes the sum of squares
    little more than its own (Carter, Schnepel and Steigerwald 2017, without their part for the covariates).
    """
    inside = readings.predicted_design.any(axis=1)
    sizes = np.unique(sample.groups[inside], return_counts=True)[1].astype(np.float64)
    clusters = sizes.sum() ** 2 / (sizes**2).sum() if len(sizes) else 0.0
    read = int((sample.sampled & inside).sum())
    return int(max(1, min(clusters + 1e-9, read) - readings.design.shape[1]))
