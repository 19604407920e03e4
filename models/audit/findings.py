"""Findings that need no model: labels that break a dependency of the codebook, and duplicates labelled differently."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.data.near_duplicates import Signatures, near_duplicate_pairs
from models.scheme import MISSING, NO, YES, Labels, Scheme


@dataclass(frozen=True, slots=True)
class Violation:
    """A text whose given values cannot be true together."""

    text: int
    option: str
    """Given as yes, while everything that it needs was given as no."""
    needs_any: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two texts of the same (or nearly the same) content with different given values."""

    first: int
    second: int
    kind: Literal["exact", "near"]
    cells: tuple[int, ...]
    """Places in `Scheme.cells` at which both have a value and the values differ."""


def violations(labels: Labels, scheme: Scheme) -> list[Violation]:
    """Every broken dependency, by text and then in the scheme's order. A missing value breaks nothing.

    Args:
        labels: int8 (texts, options).
        scheme: with its dependencies.
    """
    column = {key: place for place, key in enumerate(scheme.option_keys)}
    found: list[tuple[int, int]] = []
    for place, dependency in enumerate(scheme.dependencies):
        needed = [column[key] for key in dependency.needs_any]
        broken = (labels[:, column[dependency.option]] == YES) & (labels[:, needed] == NO).all(axis=1)
        found.extend((int(text), place) for text in np.flatnonzero(broken))
    rules = scheme.dependencies
    return [Violation(text, rules[place].option, rules[place].needs_any) for text, place in sorted(found)]


def near_contents(codes: NDArray[np.int64], signed: Signatures) -> NDArray[np.int64]:
    """Pairs of different contents that are near duplicates, each by the first row that has it: int64 (pairs, 2).

    They depend on the texts alone, so that labels can be judged again without any text.

    Args:
        codes: int64 (texts), equal where the normalised content is (`content_codes`).
        signed: `models.data.near_duplicates.signatures` of the texts.
    """
    first = np.sort(np.unique(codes, return_index=True)[1]).astype(np.int64)
    pairs: NDArray[np.int64] = first[near_duplicate_pairs(signed[first])]
    return pairs


def content_codes(digests: Sequence[str]) -> NDArray[np.int64]:
    """A number for every distinct digest: int64 (texts)."""
    return np.unique(np.asarray(digests), return_inverse=True)[1].astype(np.int64)


def conflicts(
    codes: NDArray[np.int64], near: NDArray[np.int64], labels: Labels, scheme: Scheme
) -> list[Conflict]:
    """Duplicates with different given values, by text.

    Texts of equal (normalised) content are compared as classes: of many copies with the same values the first stands for
    all, so that a heading that occurs a thousand times is one pair per way of labelling it, not a million.

    Args:
        codes: int64 (texts), equal where the normalised content is.
        near: int64 (pairs, 2), from `near_contents`.
        labels: int8 (texts, options).
        scheme: names the cells.
    """
    first = _first_of_each(codes, labels)
    found = list(_exact(codes, first, labels, scheme))
    for (left, right), cells in _differing(_variants(codes, near, first), labels, scheme):
        found.append(Conflict(left, right, "near", cells))
    return sorted(found, key=lambda conflict: (conflict.first, conflict.second))


def _variants(
    codes: NDArray[np.int64], near: NDArray[np.int64], first: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Every way of labelling one content beside every way of labelling its near duplicate: int64 (pairs, 2)."""
    order = first[np.argsort(codes[first], kind="stable")]
    starts = np.searchsorted(codes[order], codes[near], side="left")
    counts = np.searchsorted(codes[order], codes[near], side="right") - starts
    sizes = counts.prod(axis=1)
    pair = np.repeat(np.arange(len(near)), sizes)
    place = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = counts[pair, 1]
    left, right = starts[pair, 0] + place // width, starts[pair, 1] + place % width
    return np.column_stack([order[left], order[right]])


def _first_of_each(digests: NDArray[np.int64], labels: Labels) -> NDArray[np.int64]:
    """First row of each distinct (content, values): int64, rising."""
    rows = np.column_stack([digests, labels.astype(np.int64)])
    return np.sort(np.unique(rows, axis=0, return_index=True)[1]).astype(np.int64)


def _exact(
    digests: NDArray[np.int64], first: NDArray[np.int64], labels: Labels, scheme: Scheme
) -> Iterator[Conflict]:
    order = first[np.lexsort((first, digests[first]))]
    pairs = [
        np.column_stack([order[:-apart], order[apart:]])[digests[order[:-apart]] == digests[order[apart:]]]
        for apart in range(1, int(np.bincount(digests[first]).max(initial=1)))
    ]
    together = np.concatenate(pairs) if pairs else np.empty((0, 2), dtype=np.int64)
    for (left, right), cells in _differing(together, labels, scheme):
        yield Conflict(left, right, "exact", cells)


def _differing(
    pairs: NDArray[np.int64], labels: Labels, scheme: Scheme
) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
    """Pairs (the smaller row first) with the cells that both have values for and that differ."""
    ordered = np.sort(pairs, axis=1)
    differs = np.zeros((len(pairs), len(scheme.cells)), dtype=np.bool_)
    for place, cell in enumerate(scheme.cells):
        left, right = (labels[ordered[:, side]][:, list(cell.positions)] for side in (0, 1))
        known = (left != MISSING).all(axis=1) & (right != MISSING).all(axis=1)
        differs[:, place] = known & (left != right).any(axis=1)
    for row in np.flatnonzero(differs.any(axis=1)):
        cells = tuple(int(place) for place in np.flatnonzero(differs[row]))
        yield (int(ordered[row, 0]), int(ordered[row, 1])), cells
