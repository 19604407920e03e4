"""How many digits of an estimate are told: as many as its interval is worth. Pure."""

from __future__ import annotations

from math import floor, log10

MOST_DECIMALS = 12


def told(value: float | None, low: float | None, high: float | None) -> str:
    """A number of an estimate to a hundredth of its interval's width, whatever its size: 2016.305 of 2016.1 to 2016.5; `–` for none."""
    if value is None:
        return "–"
    width = abs((high or 0.0) - (low or 0.0))
    if not width:
        return f"{value:.4g}"
    return f"{value:.{min(max(2 - floor(log10(width)), 0), MOST_DECIMALS)}f}"
