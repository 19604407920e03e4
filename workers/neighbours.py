"""What stands around frozen texts: the neighbours of their group, which an adapter may read as their context. Contents are read when they are needed and never kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.context import EMPTY, HEADINGS, Context, context_at, has_context, is_heading
from models.data.neighbourhood import group_codes, neighbourhood
from workers.relabel.contents import contents_of

BATCH = 2048
"""Texts in memory at a time, and as many neighbours of each as a context has."""
Versions = NDArray[np.int64]


class Surroundings:
    """The contexts of a corpus's texts, a few at a time; memory is a few numbers for each text, whatever the texts' length.

    One pass over the texts finds those that count as headings, because the nearest may stand anywhere above.
    """

    def __init__(
        self,
        version_ids: Versions,
        groups: Sequence[str | None],
        wanted: Collection[str] | None = None,
        look: Callable[[int], object] = lambda _: None,
    ) -> None:
        """
        Args:
            version_ids: int64 (texts): of the whole corpus, in its order: neighbours are labelled, asked for, or neither.
            groups: the group of each.
            wanted: the groups that will be asked about; None: all.
            look: called between two batches of the pass with the number of texts done; what it raises ends the pass.
        """
        self._versions = version_ids
        self._rows = np.argsort(version_ids, kind="stable")
        _, inverse, counts = np.unique(group_codes(groups), return_inverse=True, return_counts=True)
        asked = counts[inverse] > 1  # alone in its group, nothing stands around it
        if wanted is not None:
            asked &= np.array([group in wanted for group in groups], dtype=np.bool_)
        self._placed = neighbourhood(groups, _headings(version_ids, np.flatnonzero(asked), look))

    def of(self, version_ids: Versions) -> list[Context]:
        """The contexts of some text versions, in their order; LookupError when one is gone (its corpus was deleted)."""
        found: list[Context] = []
        for start in range(0, len(version_ids), BATCH):
            found += self._batch(version_ids[start : start + BATCH])
        return found

    def given(self, version_ids: Versions) -> NDArray[np.bool_]:
        """Around which of some text versions anything stands: bool (texts). The others are read alone."""
        batches = (version_ids[start : start + BATCH] for start in range(0, len(version_ids), BATCH))
        known = (has_context(context) for batch in batches for context in self._batch(batch))
        return np.fromiter(known, dtype=np.bool_, count=len(version_ids))

    def _batch(self, version_ids: Versions) -> list[Context]:
        rows = self._rows[np.searchsorted(self._versions, version_ids, sorter=self._rows)]
        around = [self._placed.around(row, HEADINGS) for row in rows.tolist()]
        needed = sorted({row for found in around for row in found.rows})
        texts = dict(zip(needed, contents_of(self._versions[needed]), strict=True)) if needed else {}
        return [context_at(found, texts) if found.rows else EMPTY for found in around]


def _headings(
    version_ids: Versions, rows: NDArray[np.int64], look: Callable[[int], object]
) -> NDArray[np.bool_]:
    """Which of some rows are headings: bool (texts)."""
    short = np.zeros(len(version_ids), dtype=np.bool_)
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        short[part] = [is_heading(text) for text in contents_of(version_ids[part])]
        look(start + len(part))
    return short
