"""Which documents are held out, which choose the epoch, which are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.embargo import embargo
from models.data.folds import TooFewGroupsError, inner_split
from models.data.near_duplicates import Signatures, content_digests, seen_by, signatures
from models.generative.inputs import Documents
from models.training.errors import TrainingRefusedError

STOPPING_SHARE = 0.1
"""Part of the documents not held out that early stopping looks at."""
FEWEST_FOR_STOPPING = 10
"""With fewer documents to train on, every one of them is trained on and the epochs are as asked."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of each part: int64 arrays, disjoint."""

    train: NDArray[np.int64]
    stopping: NDArray[np.int64]
    held_out: NDArray[np.int64]
    exact: int
    """Documents dropped because they repeat a held-out one."""
    near: int
    """Documents dropped because they nearly repeat a held-out one."""
    signed: Signatures | None = None
    """uint32 (documents, permutations): near-duplicate signatures of all of them, where they were needed."""

    def to_document(self) -> dict[str, Any]:
        """Counts for events and report."""
        return {
            "train_documents": len(self.train),
            "stopping_documents": len(self.stopping),
            "held_out_documents": len(self.held_out),
            "exact_duplicates_dropped": self.exact,
            "near_duplicates_dropped": self.near,
        }


def split_documents(given: Documents) -> Split:
    """Hold out whole groups, drop what repeats them, keep a part back for early stopping.

    Raises:
        TrainingRefusedError: one group only, or every other document repeats a held-out one.
    """
    seed = given.request.seed
    try:
        held = inner_split(given.groups, given.request.held_out_share, seed)
    except TooFewGroupsError as error:
        raise TrainingRefusedError(
            "too-few-documents",
            "documents",
            f"{len(given.keys)} documents of one group: training and measuring need at least two that are apart. {error}",
        ) from error
    signed = signatures(given.texts)
    found = embargo(np.where(held, 0, 1).astype(np.int32), 0, content_digests(given.texts), signed)
    train = np.flatnonzero(found.train)
    if not len(train):
        raise TrainingRefusedError(
            "no-documents",
            "documents",
            f"all {int((~held).sum())} documents to train on repeat held-out ones: add documents that differ",
        )
    stopping = _stopping(train, [given.groups[row] for row in train], seed)
    kept = np.setdiff1d(train, stopping)
    # A document that training repeats would say that it learns long after it has begun to memorise.
    stopping = stopping[~seen_by(signed[stopping], signed[kept])]
    return Split(kept, stopping, np.flatnonzero(held), found.exact, found.near, signed)


def _stopping(train: NDArray[np.int64], groups: list[str], seed: int) -> NDArray[np.int64]:
    if len(train) < FEWEST_FOR_STOPPING or len(set(groups)) < 2:
        return train[:0]
    return train[inner_split(groups, STOPPING_SHARE, seed + 1)]
