"""How many labels are wrong: the total from an audit sample, with its variance and an interval that covers at small counts.

    T̂ = Σ_U q_i + Σ_h (N_h / n_h) Σ_{s_h} (e_i − q_i)

e_i: wrong cells of text i; q_i: how many were expected, fitted without text i (difference estimator, Särndal, Swensson and
Wretman 1992, chapter 6). q_i = λ₋ᵢ · (the expectation handed in), λ₋ᵢ being the slope of e on it over the *other* texts, drawn
to 0 unless the data speak for it: a useless expectation is then ignored (Angelopoulos, Duchi and Zrnic 2023, "PPI++", tune
λ to the same end). Strata may be bands of the same score.

The interval is Fay and Feuer's (1997) for weighted sums of counts. Of six intervals tried it alone held .95 in every cell
of `remand bench claims` where texts have one cell; with many, wrong ones come in clumps, and the upper end leaves room for
one clump more instead of one error more; see docs/adr/0018. Where more than half are wrong it is the right ones that are few: the
interval is then theirs, turned around, so that a sample in which all are wrong does not say that all are wrong everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from models.audit.sample.design import AuditSample

Vector = NDArray[np.float64]
Draws = NDArray[np.float64]
"""float64 (draws, drawn texts): the same design drawn many times, for simulations; one row for one sample."""

LEVEL = 0.95
DOUBT = 2.0
"""λ is multiplied by t² / (t² + DOUBT), t being the robust t statistic of the slope."""
FLAT = 1e-9
"""Beside the expectations themselves: differences below it are rounding, and no slope is fitted to them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference estimator under each draw; all float64 (draws,)."""

    total: Vector
    variance: Vector
    plain_total: Vector
    """Without any expectation: Σ_h N_h ē_h."""
    plain_variance: Vector
    slope: Vector
    """Mean λ."""
    clump: Vector
    """Wrong cells of a text that a wrong cell is found in; 1 where a text has one cell."""


@dataclass(frozen=True, slots=True)
class ErrorTotal:
    """An estimated number of wrong cells."""

    total: float
    standard_error: float
    low: float
    high: float
    """Lower end with skipped cells taken as right, upper end with them taken as wrong."""
    total_without_skips: float
    """Skipped cells taken as right; `total` counts them as wrong."""
    found: int
    read: int
    skipped: int
    slope: float
    cells: int
    """Cells of the frame, which the total is out of."""


def difference_estimate(
    errors: Draws,
    centred: Draws,
    strata: NDArray[np.int32],
    sizes: NDArray[np.int64],
    doubt: float = DOUBT,
    cells_a_text: float = 1.0,
) -> Difference:
    """Estimate the total under each draw.

    Args:
        errors: (draws, drawn), wrong cells of each drawn text.
        centred: (draws, drawn), its expected wrong cells minus their mean over its whole stratum, both from a fit that has not
            seen the text.
        strata: int32 (drawn,), the stratum of each place in a draw.
        sizes: int64 (strata,), N_h.
        doubt: how far λ is drawn to 0.
        cells_a_text: most that can be wrong of a text.
    """
    taken = np.bincount(strata, minlength=len(sizes))
    member = (strata[:, None] == np.arange(len(sizes))).astype(np.float64)
    weight = (sizes / np.maximum(taken, 1))[strata]
    scale = (sizes**2 * (1 - taken / sizes) / (np.maximum(taken, 1) * np.maximum(taken - 1, 1)))[strata]

    def residual(values: Draws) -> Draws:
        return np.asarray(values - (values @ member / np.maximum(taken, 1))[:, strata])

    apart = residual(centred)
    apart[np.abs(apart) <= FLAT * np.abs(centred).max(axis=1, keepdims=True, initial=0.0)] = 0.0
    slopes = _slopes(residual(errors), apart, scale, taken[strata], doubt)
    corrected = errors - slopes * centred
    return Difference(
        total=corrected @ weight,
        variance=residual(corrected) ** 2 @ scale,
        plain_total=errors @ weight,
        plain_variance=residual(errors) ** 2 @ scale,
        slope=slopes.mean(axis=1),
        clump=_clump(errors, weight, cells_a_text),
    )


def _clump(errors: Draws, weight: Vector, cells_a_text: float) -> Vector:
    return clump(errors @ weight, errors**2 @ weight, float(weight.mean()), cells_a_text)


def clump(once: Vector, twice: Vector, weight: float, cells_a_text: float) -> Vector:
    """Σ w e² / Σ w e, with one text more of average weight and (cells + 1) / 2 wrong cells: all that is known where few are found.

    Args:
        once: Σ w e.
        twice: Σ w e².
        weight: the average w.
        cells_a_text: most that can be wrong of a text.
    """
    middle = (cells_a_text + 1) / 2
    found: Vector = (twice + weight * middle**2) / (once + weight * middle)
    return found


def _slopes(errors: Draws, expected: Draws, scale: Vector, taken: NDArray[np.int64], doubt: float) -> Draws:
    """λ₋ᵢ for each text: the variance-minimising slope over the others, at least 0, drawn to 0 by its own uncertainty.

    Leaving a text out of its stratum's centred sums takes n / (n − 1) of its own product away.
    """
    out = taken / np.maximum(taken - 1, 1)
    product, square = scale * errors * expected, scale * expected**2
    covered = product.sum(axis=1, keepdims=True) - out * product
    spread = square.sum(axis=1, keepdims=True) - out * square
    noise = (product**2).sum(axis=1, keepdims=True) - product**2
    told = spread > FLAT * square.sum(axis=1, keepdims=True)
    slope = np.divide(covered, spread, out=np.zeros_like(covered), where=told)
    certain = np.divide(covered**2, noise, out=np.zeros_like(covered), where=noise > 0)
    return np.asarray(np.maximum(slope, 0.0) * certain / (certain + doubt))


def total_interval(
    total: Vector, variance: Vector, largest: float | Vector, cells: float, level: float = LEVEL
) -> tuple[Vector, Vector]:
    """Lower and upper ends for totals of rare events: Fay and Feuer's gamma interval, within 0 … cells.

    Args:
        total: (draws,), estimates.
        variance: (draws,), of the estimates.
        largest: what one more text with errors could add: the largest weight N_h / n_h times `Difference.clump`.
        cells: how many there are.
        level: coverage asked for.
    """
    tail = (1 - level) / 2
    centre, spread = np.maximum(total, 0.0), np.maximum(variance, 0.0)
    some = (centre > 0) & (spread > 0)
    ratio = np.where(some, spread / np.where(some, centre, 1.0), 1.0)
    low = np.where(some, gamma.ppf(tail, np.where(some, centre / ratio, 1.0), scale=ratio), 0.0)
    low = np.where((centre > 0) & (spread == 0), centre, low)
    more, wider = centre + largest, spread + largest**2
    open_ended = wider > 0
    high = np.where(
        open_ended,
        gamma.ppf(
            1 - tail,
            np.where(open_ended, more**2 / np.where(open_ended, wider, 1.0), 1.0),
            scale=np.where(open_ended, wider / np.where(more > 0, more, 1.0), 1.0),
        ),
        centre,
    )
    return np.minimum(low, cells), np.minimum(high, cells)


def estimate_total(
    sample: AuditSample,
    wrong: NDArray[np.int64],
    skipped: NDArray[np.int64],
    cells: int | NDArray[np.int64],
    expected: Vector | None = None,
    centred: Vector | None = None,
    level: float = LEVEL,
) -> ErrorTotal:
    """The number of wrong cells of the frame from one read sample.

    Args:
        sample: the design.
        wrong: int64 (drawn,), cells found wrong in each drawn text, in the order of `sample.rows`.
        skipped: int64 (drawn,), cells that nobody decided; they count against.
        cells: int64 (texts,), cells of every text of the frame; an integer: so many in all, the same of every text.
        expected: float64 (texts,), expected wrong cells of every text of the frame, from a fit that saw none of the sample.
        centred: float64 (drawn,), instead: see `difference_estimate` and `calibration.cross_fitted`.
        level: coverage asked for.

    Raises:
        ValueError: the arrays do not fit the sample.
    """
    if not len(wrong) == len(skipped) == len(sample.rows):
        raise ValueError(f"{len(wrong)} readings for {len(sample.rows)} drawn texts")
    if expected is not None:
        centred = expected[sample.rows] - stratum_means(sample, expected)[sample.strata]
    around = np.zeros(len(wrong)) if centred is None else centred
    both = np.stack([wrong + skipped, wrong]).astype(np.float64)
    texts = int(sample.sizes.sum())
    of_text = np.full(texts, cells / texts) if isinstance(cells, int) else cells.astype(np.float64)
    every, most = round(float(of_text.sum())), max(1.0, float(of_text.max(initial=0.0)))
    found = difference_estimate(
        both, np.stack([around, around]), sample.strata, sample.sizes, cells_a_text=most
    )
    least = np.array([wrong.sum() + skipped.sum(), wrong.sum()], dtype=np.float64)
    totals = np.minimum(np.maximum(found.total, least), every)
    totals = np.where(every - totals <= FLAT * every, every, totals)
    weights = sample.sizes / sample.taken
    right = _clump(np.maximum(of_text[sample.rows] - both, 0.0), weights[sample.strata], most)
    largest = float(weights[sample.taken < sample.sizes].max(initial=0.0))
    # A skipped cell makes clumps look smaller; that shall not narrow the interval.
    room = (largest * float(found.clump.max()), largest * float(right.max()))
    low, high = _of_the_rarer(totals, found.variance, room, every, level)
    return ErrorTotal(
        total=float(totals[0]),
        standard_error=float(np.sqrt(found.variance[0])),
        low=float(max(low[1], wrong.sum())),
        high=float(high[0]),
        total_without_skips=float(totals[1]),
        found=int(wrong.sum()),
        read=len(wrong),
        skipped=int(skipped.sum()),
        slope=float(found.slope[0]),
        cells=every,
    )


def _of_the_rarer(
    totals: Vector, variance: Vector, room: tuple[float, float], cells: int, level: float
) -> tuple[Vector, Vector]:
    """Ends of the wrong ones' interval, or of the right ones' turned around where those are fewer; room: what one more text could add to each."""
    low, high = total_interval(totals, variance, room[0], cells, level)
    fewest, most = total_interval(cells - totals, variance, room[1], cells, level)
    turned = totals > cells / 2
    return np.where(turned, cells - most, low), np.where(turned, cells - fewest, high)


def stratum_means(sample: AuditSample, values: Vector) -> Vector:
    """Mean of a value over every stratum of the frame: float64 (strata,)."""
    return np.asarray(np.bincount(sample.stratum, values, minlength=len(sample.sizes)) / sample.sizes)
