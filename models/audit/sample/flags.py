"""What to read once suspicion is calibrated: the flag set by false-discovery rate, and what reading the top K would find.

Flags: the largest set whose expected share of right labels stays within the rate (Newton et al. 2004; Müller et al. 2006), with
the calibration's own uncertainty held against it. Curve: expected finds with intervals that hold both the chance of each
cell and the uncertainty of the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma, norm

from models.audit.sample.calibration import Calibration

Vector = NDArray[np.float64]
LEVEL = 0.95
DISCOVERY_RATE = 0.5
"""Share of flagged cells that may be right: with one half, every second flag is worth the reading."""


@dataclass(frozen=True, slots=True)
class BudgetCurve:
    """Review the top `reviewed`, find about `found`. All (points,)."""

    reviewed: NDArray[np.int64]
    found: Vector
    low: Vector
    high: Vector


def flags_by_rate(
    calibration: Calibration,
    suspicion: NDArray[np.float32],
    rate: float = DISCOVERY_RATE,
    confidence: float = 0.5,
) -> NDArray[np.bool_]:
    """The flag set: bool (texts, cells), never true where not audited.

    Args:
        calibration: fitted on an audit sample.
        suspicion: float32 (texts, cells), NaN where not audited.
        rate: expected share of right labels that is borne.
        confidence: .5 takes the calibration at its word; .95 flags only what stays within the rate at its lower end.
    """
    order, wrong, doubt = _cumulated(calibration, suspicion.ravel())
    marked = np.zeros(suspicion.size, dtype=np.bool_)
    least = wrong - float(norm.ppf(confidence)) * doubt
    within = np.flatnonzero(np.arange(1, len(order) + 1) - least <= rate * np.arange(1, len(order) + 1))
    if len(within):
        marked[order[: within[-1] + 1]] = True
    return marked.reshape(suspicion.shape)


def budget_curve(
    calibration: Calibration,
    suspicion: NDArray[np.float32],
    reviewed: NDArray[np.int64],
    level: float = LEVEL,
) -> BudgetCurve:
    """What reading the most suspicious cells would find.

    Args:
        calibration: fitted on an audit sample.
        suspicion: float32, any shape; NaN is never read.
        reviewed: int64 (points,), numbers of cells; more than are audited reads all.
        level: coverage of each point's interval.
    """
    _, wrong, doubt = _cumulated(calibration, suspicion.ravel())
    taken = np.clip(reviewed, 0, len(wrong))
    chance = np.cumsum(_chances(calibration, suspicion.ravel()))
    found, variance = np.append(0.0, wrong)[taken], np.append(0.0, chance + doubt**2)[taken]
    some = found > 0
    ratio = np.where(some, variance / np.where(some, found, 1.0), 1.0)
    ends = [
        np.where(some, gamma.ppf(tail, np.where(some, found / ratio, 1.0), scale=ratio), 0.0)
        for tail in ((1 - level) / 2, (1 + level) / 2)
    ]
    return BudgetCurve(taken, found, np.floor(ends[0]), np.minimum(np.ceil(ends[1]), taken))


def _cumulated(
    calibration: Calibration, suspicion: NDArray[np.float32]
) -> tuple[NDArray[np.int64], Vector, Vector]:
    """Audited cells by falling suspicion, expected wrong ones among the first K, and the calibration's standard error of that."""
    audited = np.flatnonzero(np.isfinite(suspicion))
    order = audited[np.argsort(-suspicion[audited], kind="stable")]
    values = suspicion[order].astype(np.float64)
    probability = calibration.apply(values)
    slant = probability * (1 - probability)
    moves = np.cumsum(slant[:, None] * calibration.design(values), axis=0)
    spread = ((moves @ calibration.covariance) * moves).sum(axis=1)
    return order, np.cumsum(probability), np.sqrt(np.maximum(spread, 0.0))


def _chances(calibration: Calibration, suspicion: NDArray[np.float32]) -> Vector:
    """p (1 − p) of the audited cells by falling suspicion."""
    values = np.sort(suspicion[np.isfinite(suspicion)])[::-1]
    probability = calibration.apply(values)
    return np.asarray(probability * (1 - probability))
