"""Probability samples of texts: strata, their allocation, draws without replacement, inclusion probabilities. numpy only.

Stratified sampling as in Cochran (1977), Sampling Techniques, chapter 5. Seats are handed to strata by highest averages
(Webster, Sainte-Laguë), so that a larger sample never takes fewer texts of a stratum than a smaller one. Within a stratum
texts are taken in the order of a hash of seed and key: the same sample on every machine and in every process.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.data.folds import seeded_rank
from models.scheme import MISSING, YES, Labels

Allocation = Literal["proportional", "equal", "neyman"]
Rows = NDArray[np.int64]
Part = tuple[int, int]
"""(number of yes labels, cluster); -1 yes labels stands for a text without any label."""

NO_LABEL = -1
SMALLEST = 5
"""Strata of fewer texts are merged unless the design says otherwise."""


@dataclass(frozen=True, slots=True)
class Design:
    """How many texts are drawn, and how they are spread over strata."""

    size: int
    seed: int = 0
    allocation: Allocation = "proportional"
    least: int = 1
    """Texts taken of every stratum at the least, or all of a smaller one."""
    smallest: int = SMALLEST
    """Strata of fewer texts are merged into others."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A stratum that was too small, and the one it joined."""

    small: tuple[Part, ...]
    texts: int
    into: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Strata:
    """A division of all texts of a frame."""

    of: NDArray[np.int32]
    """int32 (texts): the stratum of each."""
    parts: tuple[tuple[Part, ...], ...]
    """What each stratum is made of, more than one part after a merge."""
    merges: tuple[Merge, ...]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """int64 (strata): texts of each, N_h."""
        return np.bincount(self.of, minlength=len(self.parts)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample with its design."""

    rows: Rows
    """int64 (drawn,), rising: rows of the frame."""
    inclusion: NDArray[np.float64]
    """float64 (drawn,): n_h / N_h of each drawn text."""
    stratum: NDArray[np.int32]
    """int32 (drawn,)."""
    strata: Strata
    taken: NDArray[np.int64]
    """int64 (strata): texts drawn of each, n_h, at least one."""

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 (texts): the inclusion probability of every text of the frame, drawn or not; never 0."""
        return np.asarray((self.taken / self.strata.sizes)[self.strata.of])


def draw_sample(
    design: Design, keys: Sequence[str], labels: Labels | None = None, clusters: NDArray[np.int32] | None = None
) -> Drawn:  # fmt: skip
    """Draw a sample of a frame: stratified by number of yes labels and cluster, or simple random without both.

    Args:
        design: size, seed and allocation.
        keys: the stable id of each text of the frame; with the seed it decides the order of drawing.
        labels: int8 (texts, options); None: one cardinality for all.
        clusters: int32 (texts,); None: one cluster for all.

    Raises:
        ValueError: the size is not between 1 and the number of texts.
    """
    if not 1 <= design.size <= len(keys):
        raise ValueError(f"a sample of {design.size} cannot be drawn of {len(keys)} texts")
    least = min(max(1, design.least), design.size)
    nothing = np.zeros(len(keys), dtype=np.int32)
    strata = stratify(
        nothing if labels is None else cardinalities(labels),
        nothing if clusters is None else clusters,
        design.smallest,
        max(1, design.size // least),
    )
    sizes = strata.sizes
    taken = allocate(sizes, design.size, allocation_weights(design.allocation, strata, labels), least)
    rows = _take(strata.of, taken, keys, design.seed)
    stratum = strata.of[rows]
    return Drawn(rows, (taken / sizes)[stratum], stratum, strata, taken)


def cardinalities(labels: Labels) -> NDArray[np.int32]:
    """Yes labels of each text, NO_LABEL where it has no label at all: int32 (texts)."""
    counted = (labels == YES).sum(axis=1)
    return np.where((labels != MISSING).any(axis=1), counted, NO_LABEL).astype(np.int32)


def stratify(cardinality: NDArray[np.int32], cluster: NDArray[np.int32], smallest: int, most: int) -> Strata:
    """Cross number of yes labels and cluster; merge strata while one has fewer than `smallest` texts or there are more than `most`.

    The smallest stratum joins the one whose number of yes labels is nearest (first of all another cluster of the same
    number), among equally near ones the smallest, then the one with the lowest number and cluster.
    """
    pairs, cells, counts = np.unique(
        np.column_stack([cardinality, cluster]), axis=0, return_inverse=True, return_counts=True
    )
    members: dict[tuple[Part, ...], int] = {
        ((int(number), int(place)),): int(count) for (number, place), count in zip(pairs, counts, strict=True)
    }
    merges: list[Merge] = []
    while len(members) > 1:
        small = min(members, key=lambda parts: (members[parts], parts))
        if members[small] >= smallest and len(members) <= most:
            break
        texts = members.pop(small)
        into = min(members, key=lambda parts: (_distance(small, parts), members[parts], parts))
        merges.append(Merge(small, texts, into))
        members[tuple(sorted((*small, *into)))] = texts + members.pop(into)
    ordered = tuple(sorted(members))
    stratum_of = {part: place for place, parts in enumerate(ordered) for part in parts}
    lookup = np.array([stratum_of[int(number), int(place)] for number, place in pairs], dtype=np.int32)
    return Strata(lookup[cells.reshape(-1)], ordered, tuple(merges))


def allocate(
    sizes: NDArray[np.int64], size: int, weights: NDArray[np.float64], least: int = 1
) -> NDArray[np.int64]:
    """Texts to draw of each stratum: int64 (strata), summing to `size`, between min(least, N_h) and N_h.

    Each further seat goes to the stratum with the highest weight / (2 · seats + 1); to the first on a tie.

    Raises:
        ValueError: `size` is more than there are texts, or less than the minimum of all strata together.
    """
    given = np.minimum(sizes, least)
    left = size - int(given.sum())
    if left < 0 or size > int(sizes.sum()):
        raise ValueError(
            f"{size} texts cannot be allocated to {len(sizes)} strata of {int(sizes.sum())} texts, at least {least} each"
        )
    waiting = [
        (-float(weights[place]) / (2 * int(given[place]) + 1), place)
        for place in range(len(sizes))
        if given[place] < sizes[place]
    ]
    heapq.heapify(waiting)
    for _ in range(left):
        _, place = heapq.heappop(waiting)
        given[place] += 1
        if given[place] < sizes[place]:
            heapq.heappush(waiting, (-float(weights[place]) / (2 * int(given[place]) + 1), place))
    return given


def allocation_weights(allocation: Allocation, strata: Strata, labels: Labels | None) -> NDArray[np.float64]:
    """What seats are shared by: N_h, 1, or N_h · S_h (Neyman) with `spread` as S_h; float64 (strata).

    Neyman without any spread (no labels, or the same everywhere) is proportional.
    """
    sizes = strata.sizes.astype(np.float64)
    if allocation == "equal":
        return np.ones_like(sizes)
    if allocation == "neyman" and labels is not None:
        spreads = spread(strata, labels)
        if spreads.any():
            return sizes * spreads
    return sizes


def spread(strata: Strata, labels: Labels) -> NDArray[np.float64]:
    """Standard deviation of the labels within each stratum, root of the mean variance over options: float64 (strata)."""
    count = len(strata.parts)
    yes, known = np.zeros((count, labels.shape[1])), np.zeros((count, labels.shape[1]))
    np.add.at(yes, strata.of, labels == YES)
    np.add.at(known, strata.of, labels != MISSING)
    share = yes / np.maximum(known, 1)
    told = np.maximum((known > 0).sum(axis=1), 1)
    return np.asarray(np.sqrt((share * (1 - share)).sum(axis=1) / told))


def _take(of: NDArray[np.int32], taken: NDArray[np.int64], keys: Sequence[str], seed: int) -> Rows:
    """The first n_h rows of each stratum in seeded order, rising."""
    left = taken.tolist()
    stratum = of.tolist()
    rows = []
    for row in sorted(range(len(keys)), key=lambda row: seeded_rank(keys[row], seed)):
        if left[stratum[row]]:
            left[stratum[row]] -= 1
            rows.append(row)
    return np.sort(np.array(rows, dtype=np.int64))


def _distance(first: tuple[Part, ...], second: tuple[Part, ...]) -> int:
    """Least difference of their numbers of yes labels."""
    return min(abs(one - other) for one, _ in first for other, _ in second)
