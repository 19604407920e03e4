"""Where the neighbours of every text stand in a corpus: places alone, so that no text need be in memory to know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Around:
    """Rows that stand around a text in its group."""

    headings: tuple[int, ...]
    """The nearest short ones above, in order."""
    before: int | None
    after: int | None

    @property
    def rows(self) -> tuple[int, ...]:
        """All of them; some may stand there twice."""
        return (*self.headings, *(row for row in (self.before, self.after) if row is not None))


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Every text of a corpus by its group; memory: five numbers for each text."""

    order: Rows
    """int64 (texts): rows by group, in corpus order within one."""
    places: Rows
    """int64 (texts): inverse of `order`."""
    begins: Rows
    """int64 (texts): the place in `order` at which the group of a row begins …"""
    ends: Rows
    """… and after which it ends."""
    headings: Rows
    """int64, ascending: the places in `order` of short texts."""

    def around(self, row: int, most: int) -> Around:
        """What stands around a row, with at most so many headings."""
        place, begin, end = (int(part[row]) for part in (self.places, self.begins, self.ends))
        first, last = np.searchsorted(self.headings, (begin, place))
        above = self.headings[max(int(first), int(last) - most) : int(last)]
        return Around(
            tuple(self.order[above].tolist()),
            int(self.order[place - 1]) if place > begin else None,
            int(self.order[place + 1]) if place + 1 < end else None,
        )


def neighbourhood(groups: Sequence[str | None], short: NDArray[np.bool_]) -> Neighbourhood:
    """The neighbourhood of every text.

    Args:
        groups: the group of each text, those of a group in their order (other groups may stand between them); a text without one
            has no neighbours.
        short: bool (texts): whether it counts as a heading.
    """
    codes = group_codes(groups)
    order = np.argsort(codes, kind="stable").astype(np.int64)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    sorted_codes = codes[order]
    begins = np.searchsorted(sorted_codes, codes, side="left").astype(np.int64)
    ends = np.searchsorted(sorted_codes, codes, side="right").astype(np.int64)
    return Neighbourhood(order, places, begins, ends, np.flatnonzero(short[order]).astype(np.int64))


def group_codes(groups: Sequence[str | None]) -> Rows:
    """int64 (texts): one number for each group, and one for each text without any."""
    known: dict[str, int] = {}
    codes = np.empty(len(groups), dtype=np.int64)
    for row, group in enumerate(groups):
        codes[row] = -1 - row if group is None else known.setdefault(group, len(known))
    return codes
