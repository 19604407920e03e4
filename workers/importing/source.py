"""A file as rows with line numbers, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A row: the line it begins on (1 is the first line of the file) and one value per column; strings, or JSON values."""

    line: int
    values: list[Any]


class Rejected(NamedTuple):
    """A row, or a part of one, that is not imported. The reason never quotes a text."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file. `rows()` reads it from its beginning each time it is called."""

    format: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row | Rejected]]
    notes: tuple[str, ...] = ()
    """What was found out about the file, in words."""
