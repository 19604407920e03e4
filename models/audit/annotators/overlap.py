"""Who can be compared with whom: shared texts of every pair, and the components of the overlap graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from models.audit.annotators.votes import Votes
from models.scheme import NO, YES

FEWEST = 50
"""Shared texts below which two annotators are not compared directly."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap graph of annotators."""

    shared: NDArray[np.int64]
    """int64 (annotators, annotators): texts on which both voted on the same option (of the option with most); the diagonal is an
    annotator's own."""
    component: NDArray[np.int64]
    """int64 (annotators,): component by pairs with at least `fewest` shared texts, counted from 0."""
    fewest: int

    def not_comparable(self, first: int, second: int) -> str | None:
        """Why two annotators cannot be compared, or None: directly, or through others who overlap with both."""
        if self.component[first] == self.component[second]:
            return None
        texts = int(self.shared[first, second])
        return f"not comparable: {texts} shared texts, below {self.fewest}, and nobody connects them"

    def isolated(self, annotator: int) -> bool:
        """Whether nobody shares enough texts with this annotator."""
        others = np.delete(self.shared[annotator], annotator)
        return not (others >= self.fewest).any()


def overlap(votes: Votes, fewest: int = FEWEST) -> Overlap:
    """Shared texts and components."""
    shape = (votes.annotator_count, votes.text_count)
    shared = np.zeros((votes.annotator_count, votes.annotator_count), dtype=np.int64)
    voted = np.isin(votes.values, (YES, NO))
    for columns in _same_patterns(voted):
        rows = voted[:, columns[0]]
        who = csr_matrix(
            (np.ones(int(rows.sum()), dtype=np.int64), (votes.annotators[rows], votes.texts[rows])),
            shape=shape,
        )
        shared = np.maximum(shared, (who @ who.T).toarray())
    linked = csr_matrix(shared >= fewest)
    return Overlap(shared, connected_components(linked, directed=False)[1].astype(np.int64), fewest)


def _same_patterns(voted: NDArray[np.bool_]) -> list[list[int]]:
    """Options by which rows voted on them: mostly one group, so that one product serves all."""
    groups: dict[bytes, list[int]] = {}
    for column in range(voted.shape[1]):
        groups.setdefault(np.packbits(voted[:, column]).tobytes(), []).append(column)
    return list(groups.values())
