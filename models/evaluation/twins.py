"""Rows with a duplicate or near duplicate among the training rows, told apart from those without: a model may know them by heart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.near_duplicates import THRESHOLD, Signatures, near_duplicate_pairs, seen_by


def twins_across_folds(
    folds: NDArray[np.int32], digests: Sequence[str], signed: Signatures, trained: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Whether a held-out row repeats a labelled row of another fold, exactly or nearly: bool (rows).

    The embargo took these rows out of the training part that the row's own model learnt from.

    Args:
        folds: int32 (rows), the fold of each row.
        digests: `content_digests` of the rows.
        signed: `signatures` of the rows.
        trained: bool (rows), rows that are trained on at all.
    """
    found = np.zeros(len(folds), dtype=np.bool_)
    content = np.asarray(digests)
    for fold in np.unique(folds[folds >= 0]):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero((folds != fold) & trained)
        same = np.isin(content[inside], content[outside])
        open_ = np.flatnonzero(~same)
        same[open_] = seen_by(signed[inside[open_]], signed[outside])
        found[inside] = same
    return found


def twins_in_training(
    signed: Signatures, own: NDArray[np.bool_], trained: Signatures, threshold: float = THRESHOLD
) -> NDArray[np.bool_]:
    """Whether a row repeats a training row other than itself: bool (rows).

    Args:
        signed: `signatures` of the rows, uint32 (rows, permutations).
        own: bool (rows), whether the row itself is one of the training rows.
        trained: signatures of the training rows, one each.
        threshold: estimated resemblance from which texts count as near duplicates.
    """
    found = np.zeros(len(signed), dtype=np.bool_)
    if not len(signed) or not len(trained):
        return found
    itself = own & seen_by(signed, trained, 1.0)
    found[~itself] = seen_by(signed[~itself], trained, threshold)
    paired = np.unique(near_duplicate_pairs(trained, threshold)) if itself.any() else np.zeros(0, np.int64)
    found[itself] = seen_by(signed[itself], trained[paired], 1.0)
    return found
