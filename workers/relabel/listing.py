"""From suspicions to disagreements: which cells are listed, in which order, with which words. Pure numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.relabelling.rules import value_of
from models.scheme import YES, Cell, Labels


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
    """From 1 by falling suspicion."""
    text: int
    """Row of the text."""
    cell: int
    human_value: str
    model_value: str
    probability: float
    """Of the human value."""
    suspicion: float


def listed(reading: Reading, scores: NDArray[np.float32], flags: NDArray[np.bool_]) -> Iterator[Listed]:
    """Flagged cells by falling suspicion; among equals by text, then cell.

    Args:
        reading: probabilities and labels.
        scores: float32 (texts, cells).
        flags: bool (texts, cells).
    """
    texts, cells = np.nonzero(flags)
    order = np.lexsort((cells, texts, -scores[texts, cells].astype(np.float64)))
    for position, place in enumerate(order, 1):
        text, cell = int(texts[place]), int(cells[place])
        human, model, probability = _values(reading, text, reading.cells[cell])
        yield Listed(position, text, cell, human, model, probability, float(scores[text, cell]))


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
