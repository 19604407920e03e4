"""Wrong labels made on purpose, for benches: seeded flips that leave a text's options possible together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scheme import NO, YES, Cell, Labels, Scheme


@dataclass(frozen=True, slots=True)
class Injected:
    """Labels with some cells made wrong, and which."""

    labels: Labels
    """int8 (texts, options)."""
    flipped: NDArray[np.bool_]
    """bool (texts, cells), in `Scheme.cells` order."""


def inject_noise(labels: Labels, scheme: Scheme, share: float, seed: int) -> Injected:
    """Flip a share of the labelled cells, drawn evenly; a yes_no cell turns, a choose_one cell gets another option.

    A flip that would break a dependency of the scheme ("no argument without a speaker") is passed over and another cell
    takes its place, so the share is kept as long as enough cells can be flipped.

    Args:
        labels: int8 (texts, options); not changed.
        scheme: cells and dependencies.
        share: of labelled cells to flip, 0 to 1.
        seed: the same seed flips the same cells.

    Raises:
        ValueError: `share` is not between 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    rng = np.random.default_rng(seed)
    cells = scheme.cells
    needs = requirements(scheme)
    noisy = labels.copy()
    flipped = np.zeros((len(labels), len(cells)), dtype=np.bool_)
    labelled = np.column_stack([_labelled(labels, cell) for cell in cells])
    candidates = np.argwhere(labelled)
    left = round(share * len(candidates))
    for text, place in rng.permutation(candidates):
        if not left:
            break
        turned = _turned(noisy[text], cells[place], rng)
        if possible(turned, needs):
            noisy[text] = turned
            flipped[text, place] = True
            left -= 1
    return Injected(noisy, flipped)


def _labelled(labels: Labels, cell: Cell) -> NDArray[np.bool_]:
    """Texts whose cell has a value (and, for choose_one, another option to choose)."""
    if cell.option is not None:
        return np.isin(labels[:, cell.positions[0]], (NO, YES))
    found: NDArray[np.bool_] = (labels[:, cell.positions] == YES).any(axis=1)
    return found if len(cell.positions) > 1 else np.zeros_like(found)


def _turned(row: NDArray[np.int8], cell: Cell, rng: np.random.Generator) -> NDArray[np.int8]:
    turned = row.copy()
    positions = np.array(cell.positions)
    if cell.option is not None:
        turned[positions] = NO if row[positions[0]] == YES else YES
        return turned
    others = positions[row[positions] != YES]
    turned[positions] = NO
    turned[rng.choice(others)] = YES
    return turned


def requirements(scheme: Scheme) -> list[tuple[int, list[int]]]:
    """Columns of each dependency's option and of what it needs."""
    column = {key: place for place, key in enumerate(scheme.option_keys)}
    return [(column[d.option], [column[key] for key in d.needs_any]) for d in scheme.dependencies]


def possible(row: NDArray[np.int8], needs: list[tuple[int, list[int]]]) -> bool:
    """Whether no option is yes while everything that it needs is known to be no."""
    return not any(row[option] == YES and (row[columns] == NO).all() for option, columns in needs)
