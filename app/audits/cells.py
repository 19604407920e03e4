"""The cells that an audit sample reads: options of a yes_no_set one by one, a choose_one question as a whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scheme import MISSING, NO, YES, Labels, Scheme


@dataclass(frozen=True, slots=True)
class ReadCell:
    """One thing that a reader decides about a text."""

    key: str
    """The option's key; the question's for a choose_one."""
    question: str
    option: str | None
    """None: a whole choose_one question."""
    columns: tuple[int, ...]
    """Its places in `option_keys`."""


def read_cells(scheme: Scheme, option_keys: Sequence[str]) -> tuple[ReadCell, ...]:
    """The cells whose options are among `option_keys`, in the scheme's order."""
    place = {key: column for column, key in enumerate(option_keys)}
    keys = scheme.option_keys
    found = []
    for cell in scheme.cells:
        columns = tuple(place[keys[position]] for position in cell.positions if keys[position] in place)
        if columns:
            found.append(ReadCell(cell.option or cell.question, cell.question, cell.option, columns))
    return tuple(found)


def whole_options(scheme: Scheme, wanted: Sequence[str]) -> tuple[str, ...]:
    """`wanted` by position, with every option in use of a choose_one question of which any is wanted."""
    asked = set(wanted)
    for cell in scheme.cells:
        members = {scheme.option_keys[position] for position in cell.positions}
        if cell.option is None and members & asked:
            asked |= members
    return tuple(option.key for option in scheme.options if option.key in asked)


def decided(values: Labels, cells: Sequence[ReadCell]) -> NDArray[np.bool_]:
    """Whether a cell has a value that can be compared, yes or no: bool (texts, cells). `values`: int8 (texts, options read)."""
    known = (values == YES) | (values == NO)
    return _by_cell([known[:, list(cell.columns)].all(axis=1) for cell in cells], len(values))


def differs(first: Labels, second: Labels, cells: Sequence[ReadCell]) -> NDArray[np.bool_]:
    """Whether two sets of values differ at a cell in any of its options: bool (texts, cells)."""
    unequal = first != second
    return _by_cell([unequal[:, list(cell.columns)].any(axis=1) for cell in cells], len(first))


def spread(of_cells: NDArray[np.bool_], cells: Sequence[ReadCell], options: int) -> NDArray[np.bool_]:
    """bool (texts, cells) as bool (texts, options read)."""
    found = np.zeros((len(of_cells), options), dtype=np.bool_)
    for place, cell in enumerate(cells):
        found[:, list(cell.columns)] = of_cells[:, place, None]
    return found


def missing_like(values: Labels) -> Labels:
    """MISSING everywhere."""
    return np.full(values.shape, MISSING, dtype=np.int8)


def _by_cell(columns: list[NDArray[np.bool_]], texts: int) -> NDArray[np.bool_]:
    return np.stack(columns, axis=1) if columns else np.zeros((texts, 0), dtype=np.bool_)
