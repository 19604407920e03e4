"""Texts unlike each other: greedy k-center (Sener and Savarese 2018) or k-means++ seeding (Arthur and Vassilvitskii 2007)."""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Spreading = Literal["k_center", "k_means++"]
Points = NDArray[np.float32]
_BLOCK = 1024


def diverse(
    points: Points, size: int, how: Spreading, seed: int, covered: Points | None = None
) -> NDArray[np.int64]:
    """Rows of `size` points that lie apart, in the order they were picked: int64 (size,).

    Args:
        points: float32 (texts, dimensions).
        size: how many, at most the number of points.
        how: `k_center` takes the point farthest from all picked ones; it reaches every corner and likes outliers.
            `k_means++` draws it with a chance that grows with the squared distance, and so follows where texts are many.
        seed: draws the first point (nothing covered) and, for k-means++, all others.
        covered: points that need no neighbour any more, float32 (known, dimensions), such as labelled texts.

    Raises:
        ValueError: more wanted than there are.
    """
    if not 0 <= size <= len(points):
        raise ValueError(f"{size} of {len(points)} points cannot be picked")
    chance = random.Random(seed)  # noqa: S311  # its stream is the same in every version of Python; nothing secret
    squares = np.einsum("ij,ij->i", points, points)
    free = np.ones(len(points), dtype=np.bool_)
    nearest = _nearest(points, squares, covered)
    picked: list[int] = []
    for _ in range(size):
        row = _next(nearest, free, how, chance)
        picked.append(row)
        free[row] = False
        distance = squares - 2 * (points @ points[row]) + squares[row]
        np.minimum(nearest, np.maximum(distance, 0.0), out=nearest)
    return np.array(picked, dtype=np.int64)


def _next(
    nearest: NDArray[np.float32], free: NDArray[np.bool_], how: Spreading, chance: random.Random
) -> int:
    """The next point: any at first; then the farthest, or one drawn by squared distance."""
    left = np.flatnonzero(free)
    if not np.isfinite(nearest).all():  # nothing picked or covered yet
        return int(left[chance.randrange(len(left))])
    if how == "k_center":
        return int(left[np.argmax(nearest[left])])
    cumulative = np.cumsum(nearest[left], dtype=np.float64)
    if cumulative[-1] <= 0:  # only repetitions of picked points are left
        return int(left[chance.randrange(len(left))])
    place = int(np.searchsorted(cumulative, chance.random() * cumulative[-1], side="right"))
    return int(left[min(place, len(left) - 1)])


def _nearest(points: Points, squares: NDArray[np.float32], covered: Points | None) -> NDArray[np.float32]:
    """Squared distance of each point to the nearest covered one, infinite where there is none: float32 (texts)."""
    nearest = np.full(len(points), np.inf, dtype=np.float32)
    if covered is None or not len(covered):
        return nearest
    theirs = np.einsum("ij,ij->i", covered, covered)
    for start in range(0, len(points), _BLOCK):
        part = slice(start, start + _BLOCK)
        distance = squares[part, None] - 2 * (points[part] @ covered.T) + theirs[None, :]
        nearest[part] = np.maximum(distance.min(axis=1), 0.0)
    return nearest
