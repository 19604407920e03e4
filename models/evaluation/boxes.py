"""Box plots as numbers: quartiles, whiskers and what lies beyond them (Tukey 1977, "Exploratory Data Analysis")."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

REACH = 1.5
"""Whiskers end at the last value within so many interquartile ranges of the box."""
MOST_OUTLIERS = 200
"""Most values beyond the whiskers that are kept, evenly over their order; all of them are counted."""


def box(values: NDArray[np.float64]) -> dict[str, Any] | None:
    """{low, first, median, third, high, mean, items, beyond, outliers} of the defined values; None without any.

    Quartiles by linear interpolation (type 7 of Hyndman and Fan 1996, numpy's and R's default).
    """
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return None
    first, median, third = np.quantile(known, (0.25, 0.5, 0.75))
    reach = REACH * (third - first)
    # Rounding in the quartiles must not push the extremes of a narrow box out of it.
    within = known[(known >= min(first, first - reach)) & (known <= max(third, third + reach))]
    # Between the values of a small sample a quartile may lie beyond the last one within reach: no whisker then.
    low, high = (min(within[0], first), max(within[-1], third)) if len(within) else (first, third)
    outside = known[(known < low) | (known > high)]
    kept = outside[np.unique(np.linspace(0, len(outside) - 1, min(len(outside), MOST_OUTLIERS)).astype(int))]
    return {
        "low": _round(low),
        "first": _round(first),
        "median": _round(median),
        "third": _round(third),
        "high": _round(high),
        "mean": _round(known.mean()),
        "items": len(known),
        "beyond": len(outside),
        "outliers": [_round(value) for value in kept],
    }


def _round(value: float) -> float:
    return round(float(value), 6)
