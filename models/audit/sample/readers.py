"""Readers err, too: agreement of two blind readers, how many wrong labels they see, and totals corrected for it.

Correction: Rogan and Gladen (1978), interval by Lang and Reiczigel (2014) where sensitivity and specificity are estimated. Sensitivity
from two independent readers and an adjudicator: errors that both found and that one found alone tell how many neither found
(Chapman 1951; Hui and Walter 1980 for the general case).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from models.audit.sample.totals import LEVEL

Vector = NDArray[np.float64]
FEWEST_ERRORS = 10
"""Confirmed wrong cells below which sensitivity is not estimated."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `count` trials with a Wilson interval."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class DoubleReading:
    """What two blind readers and an adjudicator say of each other. None where too few errors were confirmed."""

    cells: int
    agreement: float
    kappa: float
    sensitivity: tuple[Rate, Rate] | None
    specificity: tuple[Rate, Rate]
    together_sensitivity: float | None
    """Of both readers together, were they independent: 1 − (1 − Se₁)(1 − Se₂)."""
    missed: float | None
    """Wrong cells that neither saw, Chapman's estimate."""
    doubt: float | None
    """Standard error of all wrong cells, seen and missed, beside their number: how unsure `together_sensitivity` is."""


def two_readers(
    first: NDArray[np.bool_], second: NDArray[np.bool_], adjudicated: NDArray[np.bool_]
) -> DoubleReading:
    """Compare two readers on the cells that both decided.

    Args:
        first: bool (cells,), the first reader's value differs from the given label.
        second: the second reader's.
        adjudicated: the final value differs from the given label; where both readers agree, theirs.

    Raises:
        ValueError: an adjudication contradicts two readers who agree.
    """
    if (adjudicated != first)[first == second].any():
        raise ValueError("the final value is the readers' own where both agree")
    both = int((first & second).sum())
    lone = [int((one & ~other & adjudicated).sum()) for one, other in ((first, second), (second, first))]
    right = int((~adjudicated).sum())
    calm = [int((~one & ~adjudicated).sum()) for one in (first, second)]
    enough = both + sum(lone) >= FEWEST_ERRORS and both > 0
    rates = (wilson(both, both + lone[1]), wilson(both, both + lone[0]))
    return DoubleReading(
        cells=len(first),
        agreement=float((first == second).mean()) if len(first) else float("nan"),
        kappa=_kappa(first, second),
        sensitivity=rates if enough else None,
        specificity=(wilson(calm[0], right), wilson(calm[1], right)),
        together_sensitivity=1 - (1 - rates[0].value) * (1 - rates[1].value) if enough else None,
        missed=lone[0] * lone[1] / (both + 1) if enough else None,
        doubt=_doubt(both, lone) if enough else None,
    )


def _doubt(both: int, lone: list[int]) -> float:
    """Relative standard error of Chapman's total (Seber 1970)."""
    first, second = both + lone[0] + 1, both + lone[1] + 1
    every = first * second / (both + 1) - 1
    variance = first * second * lone[0] * lone[1] / ((both + 1) ** 2 * (both + 2))
    return float(np.sqrt(variance) / every)


def rogan_gladen(
    total: Vector | float,
    low: Vector | float,
    high: Vector | float,
    cells: float,
    sensitivity: float,
    specificity: float,
) -> tuple[Vector, Vector, Vector]:
    """A total and its interval corrected for a reader's known sensitivity and specificity, each within 0 … cells.

    Raises:
        ValueError: the reader does not tell wrong from right (sensitivity + specificity ≤ 1).
    """
    power = sensitivity + specificity - 1
    if power <= 0:
        raise ValueError("sensitivity and specificity add up to 1 or less: this reader says nothing")

    def corrected(value: Vector | float) -> Vector:
        return np.clip((np.asarray(value) - cells * (1 - specificity)) / power, 0.0, cells)

    return corrected(total), corrected(low), corrected(high)


def corrected_by_each_other(
    total: float,
    low: float,
    high: float,
    cells: float,
    sensitivity: float,
    doubt: float,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """A total and its interval divided by two readers' joint sensitivity, which is itself estimated: total, low, high, within 0 … cells.

    Distances from the total and the sensitivity's doubt are added as squares on the log scale. What readers wrongly call wrong is not
    corrected: an adjudicator has settled it.

    Args:
        total, low, high: as found.
        cells: how many there are.
        sensitivity, doubt: `DoubleReading.together_sensitivity` and `doubt`.
        level: coverage of the interval handed in.
    """
    spread = float(norm.ppf((1 + level) / 2)) * doubt
    middle = total / sensitivity
    below = np.hypot(np.log(total / low), spread) if low > 0 else np.inf
    above = np.hypot(np.log(high / total), spread) if total > 0 else 0.0
    lowest, highest = middle * float(np.exp(-below)), max(middle * float(np.exp(above)), high)
    return min(middle, cells), min(lowest, cells), min(highest, cells)


def corrected_with_estimated_rates(
    total: float,
    standard_error: float,
    cells: int,
    sensitivity: tuple[int, int],
    specificity: tuple[int, int],
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """Rogan and Gladen's total where sensitivity and specificity are themselves counts (successes, trials): total, low, high.

    Lang and Reiczigel: shares moved towards one half by z², variances added by the delta method.
    """
    z = float(norm.ppf((1 + level) / 2))
    share = total / cells
    trials = share * (1 - share) / (standard_error / cells) ** 2 if standard_error > 0 and share > 0 else 1.0
    moved = (trials * share + z**2 / 2) / (trials + z**2)
    hits, calm = (
        (done + 1) / (trials_ + 2) for done, trials_ in (sensitivity, specificity)
    )  # fmt: skip
    power = hits + calm - 1
    if power <= 0:
        raise ValueError("sensitivity and specificity add up to 1 or less: these readers say nothing")
    corrected = (moved + calm - 1) / power
    variance = (
        moved * (1 - moved) / (trials + z**2)
        + corrected**2 * hits * (1 - hits) / (sensitivity[1] + 2)
        + (1 - corrected) ** 2 * calm * (1 - calm) / (specificity[1] + 2)
    ) / power**2
    shift = 2 * z**2 * (
        corrected * hits * (1 - hits) / (sensitivity[1] + 2)
        - (1 - corrected) * calm * (1 - calm) / (specificity[1] + 2)
    )  # fmt: skip
    point = (share + specificity[0] / specificity[1] - 1) / (
        sensitivity[0] / sensitivity[1] + specificity[0] / specificity[1] - 1
    )
    ends = corrected + shift + np.array([-z, z]) * np.sqrt(variance)
    low, high = np.clip(ends, 0.0, 1.0) * cells
    return float(np.clip(point, 0.0, 1.0) * cells), float(low), float(high)


def wilson(successes: int, trials: int, level: float = LEVEL) -> Rate:
    """A share with its Wilson (1927) interval; 0 … 1 without trials."""
    if not trials:
        return Rate(float("nan"), 0.0, 1.0, 0)
    z = float(norm.ppf((1 + level) / 2))
    share = successes / trials
    middle = (successes + z**2 / 2) / (trials + z**2)
    half = z / (trials + z**2) * float(np.sqrt(trials * share * (1 - share) + z**2 / 4))
    return Rate(share, max(0.0, middle - half), min(1.0, middle + half), trials)


def _kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Cohen's kappa; NaN where neither reader ever varies."""
    if not len(first):
        return float("nan")
    agreed, a, b = (first == second).mean(), first.mean(), second.mean()
    by_chance = a * b + (1 - a) * (1 - b)
    return float((agreed - by_chance) / (1 - by_chance)) if by_chance < 1 else float("nan")
