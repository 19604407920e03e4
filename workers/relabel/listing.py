"""From suspicions to disagreements: which cells are listed, in which order, with which words. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.relabelling.rules import value_of
from models.scheme import YES, Cell, Labels

Reason = Literal["flag", "decoy", "finding"]
FINDING: Reason = "finding"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a run says about the cells of a scheme. Columns are the scheme's."""

    cells: tuple[Cell, ...]
    option_keys: tuple[str, ...]
    probabilities: NDArray[np.float32]
    """float32 (texts, options)."""
    labels: Labels
    """int8 (texts, options): given values."""
    thresholds: NDArray[np.float32]
    """float32 (texts, options): of the reading that answered for each text."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One disagreement."""

    position: int
    """From 1 by falling suspicion; decoys anywhere among the flagged, what only a finding names after these."""
    text: int
    """Row of the text."""
    cell: int
    reason: Reason
    human_value: str
    model_value: str | None
    """This, the probability and the suspicion are None where no model read the text unseen."""
    probability: float | None
    """Of the human value."""
    suspicion: float | None


def listed(
    reading: Reading,
    scores: NDArray[np.float32],
    queue: Sequence[tuple[int, int, Reason]],
    others: Sequence[tuple[int, int]] = (),
) -> Iterator[Listed]:
    """The cells of a queue in its order, then other cells that a person may decide.

    Args:
        reading: probabilities and labels.
        scores: float32 (texts, cells).
        queue: (row of the text, cell, reason).
        others: (row of the text, cell) of findings; those that lack a given value are left out.
    """
    every = [*queue, *((text, cell, FINDING) for text, cell in others)]
    for position, (text, cell, reason) in enumerate(every, 1):
        human, model, probability = _values(reading, text, reading.cells[cell])
        known = bool(np.isfinite(scores[text, cell]))
        yield Listed(
            position, text, cell, reason, human,
            model if known else None, probability if known else None, float(scores[text, cell]) if known else None,
        )  # fmt: skip


def in_order(scores: NDArray[np.float32], flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(row of the text, cell) of flagged cells by falling suspicion; among equals by text, then cell."""
    texts, cells = np.nonzero(flags)
    order = np.lexsort((cells, texts, -scores[texts, cells].astype(np.float64)))
    return [(int(texts[place]), int(cells[place])) for place in order]


def _values(reading: Reading, text: int, cell: Cell) -> tuple[str, str, float]:
    """Human value, model value, and the probability of the human one."""
    columns = list(cell.positions)
    given, found = reading.labels[text, columns], reading.probabilities[text, columns]
    if cell.option is None:
        human, model = int(np.argmax(given == YES)), int(np.argmax(found))
        keys = reading.option_keys
        return value_of(cell, keys, columns[human]), value_of(cell, keys, columns[model]), float(found[human])
    said = int(given[0] == YES)
    read = int(found[0] >= reading.thresholds[text, columns[0]])
    right = float(found[0] if said else 1 - found[0])
    return value_of(cell, reading.option_keys, said), value_of(cell, reading.option_keys, read), right


def settled_mask(
    cells: Sequence[Cell],
    row_of: Mapping[int, int],
    settled: Sequence[tuple[int, str, str | None]],
    texts: int,
) -> NDArray[np.bool_]:
    """bool (texts, cells): cells that a review has settled.

    Args:
        cells: of the scheme.
        row_of: row of each text id.
        settled: (text id, question key, option key or None).
        texts: how many there are.
    """
    place = {(cell.question, cell.option): index for index, cell in enumerate(cells)}
    mask = np.zeros((texts, len(cells)), dtype=np.bool_)
    for text_id, question, option in settled:
        if text_id in row_of and (question, option) in place:
            mask[row_of[text_id], place[question, option]] = True
    return mask
