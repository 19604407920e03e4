"""Estimates as they are printed: coefficients, prevalences and differences with intervals, the naive ones beside, or a refusal.

Where events are few a sandwich cannot be trusted: regressions are refused, prevalences get the interval for rare counts
(`models.audit.sample.totals`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from models.audit.sample.totals import difference_estimate, total_interval
from models.estimates.draws import Draw, ExpertSample
from models.estimates.limits import EVENTS_PER_COEFFICIENT, FEW_CLUSTERS, LEVEL, RARE
from models.estimates.moments import Link, Readings, Solution, UnsettledError, solve, solve_naive

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One coefficient, prevalence or difference."""

    name: str
    value: float
    standard_error: float
    low: float
    high: float
    naive: float | None
    """From the student labels taken as they are; None where that has no solution."""
    naive_low: float | None
    naive_high: float | None
    method: str
    tuning: float | None
    """λ; None for rare counts, which have one of each text."""
    freedom: int | None
    """Degrees of freedom of the t quantile; None where the interval is another."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no estimate."""

    reason: str


@dataclass(frozen=True, slots=True)
class Naive:
    """The same regression's outcome and design with student labels, on texts that have one: `known` bool (texts,)."""

    outcome: Vector
    design: Matrix
    known: NDArray[np.bool_]


def regression(
    names: list[str],
    readings: Readings,
    sample: ExpertSample,
    link: Link,
    events: int,
    naive: Naive | None = None,
    level: float = LEVEL,
) -> list[Estimate] | Refusal:
    """Coefficients of a linear or logistic regression with a label as outcome or among the covariates.

    Args:
        names: of the coefficients.
        readings: with expert and with predicted labels.
        sample: the design.
        link: linear or logistic.
        events: expert labels of the rarer value (of the label at stake; the rarest where there are several).
        naive: with student labels, to print beside.
        level: coverage asked for.
    """
    refused = _refusal(names, readings, sample, events)
    if refused:
        return Refusal(refused)
    try:
        found = solve(readings, sample, link)
    except UnsettledError as error:
        return Refusal(str(error))
    beside = _naive(naive, sample, link)
    errors, ends = _ends(found, level)
    others = None if beside is None else _ends(beside, level)[1]
    return [
        Estimate(
            name, float(found.coefficients[k]), float(errors[k]), float(ends[0][k]), float(ends[1][k]),
            None if beside is None else float(beside.coefficients[k]),
            None if others is None else float(others[0][k]),
            None if others is None else float(others[1][k]),
            f"{link}, λ = {found.tuning:.2f}", found.tuning, found.freedom,
        )
        for k, name in enumerate(names)
    ]  # fmt: skip


def prevalence(
    labels: Vector,
    predicted: Vector,
    sample: ExpertSample,
    student: NDArray[np.int8] | None = None,
    level: float = LEVEL,
    name: str = "prevalence",
    inside: NDArray[np.bool_] | None = None,
) -> Estimate | Refusal:
    """The share of yes. Few events get the interval for rare counts (no clusters there), others the sandwich.

    Args:
        labels: float64 (texts,), expert labels 0 or 1; ignored where not sampled.
        predicted: float64 (texts,), `cross_fitted_labels`.
        sample: the design.
        student: int8 (texts,), 1, 0, -1 missing, for the naive estimate.
        level: coverage asked for.
        name: of the estimate.
        inside: bool (texts,), the texts that are asked about; None: all.
    """
    asked = np.ones(len(labels), dtype=np.bool_) if inside is None else inside
    ones = asked.astype(np.float64)[:, None]
    read = sample.sampled & asked
    yes = int(labels[read].sum())
    rarer = min(yes, int(read.sum()) - yes)
    naive = None if student is None else Naive(student.astype(np.float64), ones, (student >= 0) & asked)
    if rarer >= RARE:
        readings = Readings(np.where(sample.sampled, labels, 0.0), predicted, ones, ones)
        found = regression([name], readings, sample, "linear", rarer, naive, level)
        return found if isinstance(found, Refusal) else found[0]
    if sample.clusters is not None:
        return Refusal(
            f"{rarer} expert labels of the rarer value: too few for an interval by clusters ({RARE} needed)"
        )
    return _rare_prevalence(labels, predicted, sample, naive, level, name, asked)


def group_differences(
    labels: Vector,
    predicted: Vector,
    sample: ExpertSample,
    groups: NDArray[np.int64],
    names: list[str],
    student: NDArray[np.int8] | None = None,
    level: float = LEVEL,
) -> list[Estimate] | Refusal:
    """Prevalence of the first group, and of every other one minus it.

    Args:
        labels: float64 (texts,), expert labels; ignored where not sampled.
        predicted: float64 (texts,).
        sample: the design.
        groups: int64 (texts,), counted from 0.
        names: of the groups.
        student: int8 (texts,), for the naive estimates.
        level: coverage asked for.
    """
    design = np.column_stack([np.ones(len(labels))] + [groups == k for k in range(1, len(names))])
    design = design.astype(np.float64)
    drawn = sample.sampled
    yes = np.bincount(groups[drawn], labels[drawn], len(names))
    rarest = int(np.minimum(yes, np.bincount(groups[drawn], minlength=len(names)) - yes).min())
    naive = None if student is None else Naive(student.astype(np.float64), design, student >= 0)
    readings = Readings(np.where(drawn, labels, 0.0), predicted, design, design)
    titles = [names[0]] + [f"{name} − {names[0]}" for name in names[1:]]
    return regression(titles, readings, sample, "linear", rarest * len(names), naive, level)


def _rare_prevalence(
    labels: Vector,
    predicted: Vector,
    sample: ExpertSample,
    naive: Naive | None,
    level: float,
    name: str,
    asked: NDArray[np.bool_],
) -> Estimate | Refusal:
    """Fay and Feuer's interval of the total; of the rarer value, so that it is the small count that is exact. Draws are strata beside each other."""
    texts = int(asked.sum())
    if not (asked & sample.sampled).any():
        return Refusal("no expert has read any of these texts")
    for draw in sample.draws:
        sizes, taken = _strata(draw)
        if (taken < np.minimum(2, sizes)).any():
            return Refusal("a stratum with fewer than two expert labels: its variance cannot be estimated")
    rarer_is_no = labels[asked & sample.sampled].mean() > 0.5
    yes = np.where(asked, 1 - labels if rarer_is_no else labels, 0.0)
    expected = np.where(asked, 1 - predicted if rarer_is_no else predicted, 0.0)
    rows = [_drawn(draw, yes, expected, asked) for draw in sample.draws]
    offsets = np.cumsum([0, *(len(one.sizes) for one in rows[:-1])])
    value, centred, sizes = (
        np.concatenate([getattr(one, name) for one in rows]) for name in ("value", "centred", "sizes")
    )
    strata = np.concatenate([one.strata + offset for one, offset in zip(rows, offsets, strict=True)])
    found = difference_estimate(value[None], centred[None], strata.astype(np.int32), sizes)
    total = np.maximum(found.total, yes[sample.sampled].sum())
    variance = found.variance + total * (1 - total / texts)
    largest = max(one.largest for one in rows)
    low, high = (float(end[0]) / texts for end in total_interval(total, variance, largest, texts, level))
    share = float(total[0]) / texts
    if rarer_is_no:
        share, low, high = 1 - share, 1 - high, 1 - low
    beside = _naive(naive, sample, "linear")
    ends = None if beside is None else _ends(beside, level)[1]
    return Estimate(
        name, share, float(np.sqrt(variance[0])) / texts, low, high,
        None if beside is None else float(beside.coefficients[0]),
        None if ends is None else float(ends[0][0]), None if ends is None else float(ends[1][0]),
        "rare counts (Fay and Feuer)", None, None,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One draw for the difference estimator: rows are the texts that it read."""

    value: Vector
    centred: Vector
    """Expected value minus its mean over the stratum."""
    strata: NDArray[np.int64]
    sizes: NDArray[np.int64]
    largest: float
    """Weight that one more text could have."""


def _drawn(draw: Draw, value: Vector, expected: Vector, asked: NDArray[np.bool_]) -> _Drawn:
    sizes, taken = _strata(draw)
    framed, rows = np.flatnonzero(draw.stratum >= 0), np.flatnonzero(draw.sampled)
    shared = draw.share * expected
    means = np.bincount(draw.stratum[framed], shared[framed], len(sizes)) / np.maximum(sizes, 1)
    could = framed[asked[framed]]
    weights = draw.share[could] * (sizes / np.maximum(taken, 1))[draw.stratum[could]]
    return _Drawn(
        (draw.share * value)[rows], shared[rows] - means[draw.stratum[rows]], draw.stratum[rows], sizes,
        float(weights.max(initial=0.0)),
    )  # fmt: skip


def _strata(draw: Draw) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Texts of each stratum, and how many of them were read: int64 (strata,) each."""
    sizes = np.bincount(draw.stratum[draw.stratum >= 0])
    return sizes, np.bincount(draw.stratum[draw.sampled], minlength=len(sizes))


def _refusal(names: list[str], readings: Readings, sample: ExpertSample, events: int) -> str | None:
    needed = EVENTS_PER_COEFFICIENT * len(names)
    if events < needed:
        return f"{events} expert labels of the rarer value for {len(names)} coefficients; {needed} are needed"
    clusters = len(np.unique(sample.groups[readings.predicted_design.any(axis=1)]))
    if clusters < FEW_CLUSTERS:
        return f"{clusters} clusters; standard errors by cluster need {FEW_CLUSTERS}"
    return None


def _naive(naive: Naive | None, sample: ExpertSample, link: Link) -> Solution | None:
    if naive is None or not naive.known.any():
        return None
    rows = naive.known
    clusters = None if sample.clusters is None else np.unique(sample.clusters[rows], return_inverse=True)[1]
    try:
        return solve_naive(naive.outcome[rows], naive.design[rows], link, clusters)
    except UnsettledError:
        return None


def _ends(found: Solution, level: float) -> tuple[Vector, tuple[Vector, Vector]]:
    errors = np.sqrt(np.maximum(np.diag(found.covariance), 0.0))
    half = float(student_t.ppf((1 + level) / 2, found.freedom)) * errors
    return errors, (found.coefficients - half, found.coefficients + half)
