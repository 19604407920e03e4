"""What the readings of an audit sample come to: one reader's values, or two readers' where they agree and the adjudicator's elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.audits.cells import ReadCell, decided, differs, missing_like, spread
from models.scheme import MISSING, Labels


@dataclass(frozen=True, slots=True)
class Readings:
    """The readings that count, one row per drawn text in reading order; int8 (drawn, options read), MISSING where skipped or not read."""

    readers: tuple[Labels, ...]
    """One or two."""
    adjudicator: Labels | None
    read: NDArray[np.bool_]
    """bool (drawn, readers): whether that reader has handed in a reading of the text, be it a skip."""
    adjudicated: NDArray[np.bool_]
    """bool (drawn,): the same of the adjudicator."""


def disputed(readings: Readings, cells: Sequence[ReadCell]) -> NDArray[np.bool_]:
    """Cells for an adjudicator: both readers have read the text and their values differ. bool (drawn, cells)."""
    if len(readings.readers) == 1:
        return np.zeros((len(readings.read), len(cells)), dtype=np.bool_)
    first, second = readings.readers
    return differs(first, second, cells) & _read_by_all(readings)


def settle(readings: Readings, cells: Sequence[ReadCell]) -> Labels:
    """The settled blind values: int8 (drawn, options read), YES or NO; MISSING where skipped, unread, undecided or left in dispute.

    Uncertain and not applicable leave a cell undecided: it counts against, like a skip.
    """
    first = readings.readers[0]
    if len(readings.readers) == 1:
        values = first
    else:
        argued = spread(disputed(readings, cells) | ~_read_by_all(readings), cells, first.shape[1])
        last = missing_like(first) if readings.adjudicator is None else readings.adjudicator
        values = np.where(argued, last, first)
    known = spread(decided(values, cells), cells, first.shape[1])
    return np.where(known, values, MISSING).astype(np.int8)


def _read_by_all(readings: Readings) -> NDArray[np.bool_]:
    """bool (drawn, 1)."""
    return np.asarray(readings.read.all(axis=1), dtype=np.bool_)[:, None]
