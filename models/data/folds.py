"""Folds: which held-out model reads a text. Split by group only, over all groups of the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

AUTO_FOLDS = 5
"""Folds of a train job that asks for none in particular, where the corpus has so many groups."""


class TooFewGroupsError(ValueError):
    """There are fewer groups than parts to split them into."""

    def __init__(self, groups: int, parts: int, what: str) -> None:
        super().__init__(
            f"{what} needs at least {parts} groups, but the corpus has {groups}. "
            f"Ask for {groups} folds or fewer, name a finer grouping key, or add texts from other groups."
            if groups >= 2
            else f"{what} needs at least {parts} groups, but the corpus has {groups}. "
            "Name a finer grouping key (or the text id, if texts are independent), or add texts from other groups."
        )
        self.groups = groups
        self.parts = parts


def group_folds(sizes: Mapping[str, int], folds: int, seed: int) -> dict[str, int]:
    """The fold of every group, balanced by rows.

    Groups are taken largest first, equal ones in an order drawn from the seed and the group's own name, each into the
    fold with the fewest rows so far. The answer depends on the set of groups and their sizes alone, never on row order.

    Args:
        sizes: rows of each group of the corpus, sampled for training or not.
        folds: number of folds, at least 2.
        seed: draws the order among groups of equal size.

    Raises:
        TooFewGroupsError: fewer groups than folds.
        ValueError: fewer than two folds.
    """
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, not {folds}: with one fold no text would be held out")
    if len(sizes) < folds:
        raise TooFewGroupsError(len(sizes), folds, f"Splitting into {folds} folds")
    order = sorted(sizes, key=lambda group: (-sizes[group], seeded_rank(group, seed)))
    filled = np.zeros(folds, dtype=np.int64)
    counted = np.zeros(folds, dtype=np.int64)
    assigned: dict[str, int] = {}
    for group in order:
        fold = int(np.lexsort((counted, filled))[0])
        assigned[group] = fold
        filled[fold] += sizes[group]
        counted[fold] += 1
    return assigned


def assign_folds(
    groups: Sequence[str], folds: int, seed: int, sizes: Mapping[str, int] | None = None
) -> NDArray[np.int32]:
    """The fold of every row: int32 (rows), 0 … folds-1, equal for rows of one group.

    Args:
        groups: the group key of each row.
        folds: number of folds.
        seed: draws the order among groups of equal size.
        sizes: rows of *all* groups of the corpus. Given, the folds are those of the whole corpus and stay the same for
            any sample of its rows; without it, `groups` is taken to be the whole corpus.

    Raises:
        TooFewGroupsError: fewer groups than folds.
        KeyError: a row's group is not in `sizes`.
    """
    assigned = group_folds(Counter(groups) if sizes is None else sizes, folds, seed)
    unknown = next((group for group in groups if group not in assigned), None)
    if unknown is not None:
        raise KeyError(f"group {unknown!r} is not among the corpus groups that folds are assigned over")
    return np.fromiter((assigned[group] for group in groups), dtype=np.int32, count=len(groups))


def inner_split(groups: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """Rows kept back to choose epochs on: bool (rows), whole groups, about `share` of the rows.

    Groups are drawn in seeded order until the share is reached; at least one group lies on either side.

    Raises:
        TooFewGroupsError: all rows belong to one group.
        ValueError: `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    sizes = Counter(groups)
    if len(sizes) < 2:
        raise TooFewGroupsError(len(sizes), 2, "Choosing epochs on an inner split of a fold's training part")
    wanted = share * len(groups)
    order = sorted(sizes, key=lambda group: seeded_rank(group, seed))
    kept: set[str] = set()
    rows = 0
    for group in order[:-1]:
        # A group that overshoots by more than it helps is passed over, unless nothing has been kept yet.
        if rows + sizes[group] - wanted > wanted - rows:
            continue
        kept.add(group)
        rows += sizes[group]
    if not kept:
        kept.add(min(order, key=lambda group: sizes[group]))
    return np.fromiter((group in kept for group in groups), dtype=np.bool_, count=len(groups))


def seeded_rank(key: str, seed: int) -> bytes:
    """A key's place in a seeded order, the same on every machine and in every process."""
    return sha256(f"{seed}\x00{key}".encode("utf-8", "surrogatepass")).digest()
