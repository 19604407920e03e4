"""The first pass over a file: what each column holds, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from workers.importing.source import Rejected, Row, Source

MOST_DISTINCT = 1000
"""Different values of a column that are counted; a column with more holds no labels."""
_LONGEST_LABEL = 300
_REPEATS_WITHIN = 20_000


@dataclass(slots=True)
class ColumnProfile:
    """What a column holds."""

    name: str
    blank: int = 0
    filled: int = 0
    characters: int = 0
    values: Counter[str] = field(default_factory=Counter)
    """Distinct stripped values with their counts; empty once there are too many (`many`)."""
    many: bool = False
    lists: int = 0
    """Values that are JSON lists; their items are in `items`."""
    objects: int = 0
    """Values that are JSON objects; the labels under their keys are in `items`."""
    items: Counter[str] = field(default_factory=Counter)
    annotators: Counter[str] = field(default_factory=Counter)
    """Keys of JSON objects."""

    @property
    def mean_length(self) -> float:
        """Mean characters of the filled values."""
        return self.characters / self.filled if self.filled else 0.0


@dataclass(slots=True)
class Profile:
    """What the file holds."""

    columns: dict[str, ColumnProfile]
    rows: int = 0
    unreadable: int = 0


def profile(source: Source, watch: Callable[[int], None]) -> Profile:
    """Read a source once. watch: called with the number of rows every thousand rows (progress, and a chance to stop)."""
    columns = [ColumnProfile(name) for name in source.columns]
    found = Profile({column.name: column for column in columns})
    for number, row in enumerate(source.rows(), 1):
        if number % 1000 == 0:
            watch(number)
        if isinstance(row, Rejected):
            found.unreadable += 1
            continue
        found.rows += 1
        for column, value in zip(columns, row.values, strict=True):
            _count(column, value)
    return found


def repeats(source: Source, names: Sequence[str]) -> bool:
    """Whether the values of these columns occur together more than once among the first rows."""
    places = [source.columns.index(name) for name in names]
    seen: set[tuple[str, ...]] = set()
    rows = (row for row in source.rows() if isinstance(row, Row))
    for row in islice(rows, _REPEATS_WITHIN):
        values = tuple(words(row.values[place]) for place in places)
        if values in seen:
            return True
        seen.add(values)
    return False


def words(value: Any) -> str:
    """A cell as the stripped string that codes are looked up by; blank for None."""
    if isinstance(value, str):
        return value.strip()
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _count(column: ColumnProfile, value: Any) -> None:
    if isinstance(value, list | dict):
        _count_nested(column, value)
        return
    text = words(value)
    if not text:
        column.blank += 1
        return
    column.filled += 1
    column.characters += len(text)
    if column.many:
        return
    if len(text) > _LONGEST_LABEL:
        column.many = True
    else:
        column.values[text] += 1
        column.many = len(column.values) > MOST_DISTINCT
    if column.many:
        column.values.clear()


def _count_nested(column: ColumnProfile, value: list[Any] | dict[str, Any]) -> None:
    column.filled += 1
    if isinstance(value, dict):
        column.objects += 1
        if len(column.annotators) <= MOST_DISTINCT:
            column.annotators.update(value.keys())
        items = [
            item for labels in value.values() for item in (labels if isinstance(labels, list) else [labels])
        ]
    else:
        column.lists += 1
        items = value
    if len(column.items) <= MOST_DISTINCT:
        column.items.update(
            words(item)[:_LONGEST_LABEL]
            for item in items
            if not isinstance(item, list | dict) and words(item)
        )
