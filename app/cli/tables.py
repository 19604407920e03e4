"""Tables on the terminal, within its width; where the output goes elsewhere, a row is a line, however long. Nothing is cut."""

from __future__ import annotations

from collections.abc import Sequence

_ANY_WIDTH = 100_000
"""Characters of a line that is read by a program or kept in a file."""
_LONGEST_WORD = 12
"""Characters up to which a word is kept in one piece where there is room for all of them."""
_GAP = 2


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, copied: int | None = None) -> None:
    """Print rows of text below their headings.

    Args:
        headings: of the columns.
        rows: a cell for each of them.
        copied: place of a column of ids, which no line break may part.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    cells = [headings, *rows]
    widths = [
        _word([row[place] for row in cells], None if place == copied else _LONGEST_WORD)
        for place in range(len(headings))
    ]
    fits = sum(widths) + _GAP * len(headings) <= console.width
    table = Table(box=None, pad_edge=False)
    for place, (heading, width) in enumerate(zip(headings, widths, strict=True)):
        table.add_column(heading, overflow="fold", no_wrap=place == copied, min_width=width if fits else None)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _word(cells: Sequence[str], most: int | None) -> int:
    """Characters of the longest word of a column, at most `most`."""
    longest = max(len(word) for cell in cells for word in (cell.split() or [""]))
    return longest if most is None else min(most, longest)
