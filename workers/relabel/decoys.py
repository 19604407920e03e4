"""Decoys: cells that nothing flags, mixed into the queue so that a reader cannot count on a flag. Pure numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.relabel.listing import Reason

Place = tuple[int, int]
"""(row of the text, cell)."""


def with_decoys(
    flagged: Sequence[Place], scores: NDArray[np.float32], share: float, rng: np.random.Generator
) -> list[tuple[int, int, Reason]]:
    """The queue: flagged cells in their order, decoys at places drawn at random.

    Of every option as large a share of the decoys as of the flags, because the option is told to whoever reads blind.

    Args:
        flagged: cells by falling suspicion.
        scores: float32 (texts, cells), NaN where not audited.
        share: of the queue that is to be decoys, below 1; fewer where there are not so many cells to take.
        rng: whoever knew its state could tell the decoys, so it is never stored.
    """
    wanted = round(len(flagged) * share / (1 - share))
    chosen = _chosen(flagged, scores, wanted, rng)
    total = len(flagged) + len(chosen)
    decoy = np.zeros(total, dtype=np.bool_)
    decoy[rng.choice(total, len(chosen), replace=False)] = True
    real, false = iter(flagged), iter(chosen)
    return [(*next(false), "decoy") if hidden else (*next(real), "flag") for hidden in decoy.tolist()]


def borrowed(
    queue: Sequence[tuple[int, int, Reason]], every: NDArray[np.float32], rng: np.random.Generator
) -> list[list[float] | None]:
    """By which scores each cell of the queue is placed: a decoy's lie between those of two flagged cells; None for the rest.

    By the first score it stands where it stands in the queue, by any other at a place drawn at random.

    Args:
        queue: from `with_decoys`.
        every: float32 (scores, texts, cells), the one that orders the queue first.
        rng: as above.
    """
    flagged = [(text, cell) for text, cell, reason in queue if reason == "flag"]
    if not flagged:
        return [None] * len(queue)
    texts, cells = (np.array(side) for side in zip(*flagged, strict=True))
    ladders = [np.sort(scores[texts, cells])[::-1].astype(np.float64) for scores in every]
    places: list[list[float] | None] = []
    passed = 0
    for _, _, reason in queue:
        if reason == "flag":
            passed += 1
            places.append(None)
            continue
        steps = [passed, *rng.integers(0, len(flagged) + 1, len(ladders) - 1).tolist()]
        places.append([_between(ladder, step) for ladder, step in zip(ladders, steps, strict=True)])
    return places


def _between(ladder: NDArray[np.float64], step: int) -> float:
    """Between the score above and the score below a step: the first and the last have themselves on one side."""
    above, below = ladder[max(step - 1, 0)], ladder[min(step, len(ladder) - 1)]
    return float((above + below) / 2)


def _chosen(
    flagged: Sequence[Place], scores: NDArray[np.float32], wanted: int, rng: np.random.Generator
) -> list[Place]:
    """Unflagged audited cells, in random order."""
    if not flagged or not wanted:
        return []
    free = np.isfinite(scores)
    free[tuple(np.array(flagged).T)] = False
    cells = np.array([cell for _, cell in flagged])[rng.integers(0, len(flagged), wanted)]
    found: list[Place] = []
    for cell, count in zip(*np.unique(cells, return_counts=True), strict=True):
        rows = np.flatnonzero(free[:, cell])
        taken = rng.choice(rows, min(int(count), len(rows)), replace=False)
        found += [(int(row), int(cell)) for row in taken]
    rng.shuffle(found)
    return found
