"""What two blind readers of an audit sample say of each other, and the total corrected for what both overlook. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.audits.cells import ReadCell, decided, differs
from app.audits.frame import Frame
from app.audits.result_schemas import ErrorEstimate, ErrorInterval, ReaderSensitivity, TwoReaders
from app.audits.settlement import Readings, disputed
from models.audit.sample.readers import DoubleReading, Rate, corrected_by_each_other, two_readers
from models.scheme import Labels

Mask = NDArray[np.bool_]


def compared(
    readings: Readings, truth: Labels, frame: Frame, cells: Sequence[ReadCell], pooled: ErrorEstimate
) -> TwoReaders:
    """Agreement of two readers over the cells in question that both decided; sensitivity where an adjudicator settled their disputes."""
    first, second = readings.readers
    given, asked = frame.given[frame.drawn], frame.audited[frame.drawn]
    both = asked & decided(first, cells) & decided(second, cells)
    says = [differs(values, given, cells)[both] for values in (first, second)]
    unequal = differs(first, second, cells)
    argued = disputed(readings, cells) & asked
    settled = decided(truth, cells)
    final = differs(truth, given, cells)[both]
    # two readers who both correct a choose_one label, each otherwise, agree that it is wrong: nothing is learned of them if it is not
    usable = settled[both] & ((says[0] != says[1]) | (final == says[0]))
    double = two_readers(says[0][usable], says[1][usable], final[usable])
    whole = bool(settled[both].all())
    agreed = both & ~unequal
    together = double.together_sensitivity if whole else None
    return TwoReaders(
        cells=int(both.sum()),
        agreement=float(agreed.sum() / both.sum()) if both.any() else None,
        kappa=_kappa(says[0], says[1]),
        disputes=int(argued.sum()),
        adjudicated=int((argued & settled).sum()),
        sensitivity=_rates(double) if whole else None,
        together=together,
        missed=double.missed if whole else None,
        corrected=None if not together else _corrected(pooled, together, double.doubt or 0.0),
    )


def _corrected(pooled: ErrorEstimate, sensitivity: float, doubt: float) -> ErrorInterval:
    """By both readers' sensitivity, with what is not known of it; a label that both find wrong, or the adjudicator, is taken as wrong."""
    total, low, high = corrected_by_each_other(
        pooled.total, pooled.low, pooled.high, pooled.labels, sensitivity, doubt
    )
    return ErrorInterval(total=total, low=low, high=high)


def _rates(double: DoubleReading) -> list[ReaderSensitivity] | None:
    return None if double.sensitivity is None else [_rate(rate) for rate in double.sensitivity]


def _rate(rate: Rate) -> ReaderSensitivity:
    return ReaderSensitivity(value=rate.value, low=rate.low, high=rate.high, count=rate.count)


def _kappa(first: Mask, second: Mask) -> float | None:
    """Cohen's kappa; None where neither varies."""
    value = two_readers(first, second, first & second).kappa
    return None if math.isnan(value) else value
