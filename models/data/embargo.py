"""The embargo: training rows that a fold must not learn from because they repeat one of its held-out texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.data.near_duplicates import THRESHOLD, Signatures, seen_by


@dataclass(frozen=True, slots=True)
class Embargo:
    """What fold `fold` trains on. Masks are bool (rows) over all rows of the training request."""

    fold: int
    held_out: NDArray[np.bool_]
    """Rows of the fold itself."""
    train: NDArray[np.bool_]
    """Rows it trains on: of other folds, minus the dropped ones."""
    dropped: NDArray[np.bool_]
    """Rows of other folds that exactly or nearly duplicate a held-out text."""
    exact: int
    """Dropped rows that repeat a held-out text exactly."""
    near: int
    """Dropped rows that nearly repeat one."""

    def to_document(self) -> dict[str, int | float]:
        """Counts for the report."""
        outside = int(self.train.sum() + self.dropped.sum())
        return {
            "fold": self.fold,
            "held_out_rows": int(self.held_out.sum()),
            "train_rows": int(self.train.sum()),
            "exact_duplicates": self.exact,
            "near_duplicates": self.near,
            "share": round((self.exact + self.near) / outside, 4) if outside else 0.0,
        }


def embargo(
    folds: NDArray[np.int32],
    fold: int,
    digests: Sequence[str],
    signed: Signatures,
    threshold: float = THRESHOLD,
) -> Embargo:
    """Fold `fold`'s training rows after the embargo.

    Args:
        folds: int32 (rows), the fold of each row.
        fold: the one to hold out.
        digests: `content_digests` of the rows.
        signed: `signatures` of the rows, uint32 (rows, permutations).
        threshold: estimated resemblance from which texts count as near duplicates.
    """
    held_out = folds == fold
    inside = np.flatnonzero(held_out)
    outside = np.flatnonzero(~held_out)
    content = np.asarray(digests)
    exact = np.isin(content[outside], content[inside])
    near = ~exact
    near[near] = seen_by(signed[outside[near]], signed[inside], threshold)
    dropped = np.zeros(len(folds), dtype=np.bool_)
    dropped[outside[exact | near]] = True
    return Embargo(fold, held_out, ~held_out & ~dropped, dropped, int(exact.sum()), int(near.sum()))
