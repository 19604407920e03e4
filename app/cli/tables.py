"""Tables on the terminal, within its width; where the output goes elsewhere, a row is a line, however long. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ANY_WIDTH = 100_000
"""Characters of a line that is read by a program or kept in a file."""


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, copied: int | None = None) -> None:
    """Print rows of text below their headings.

    Args:
        headings: of the columns.
        rows: a cell for each of them.
        copied: place of a column of ids, which no line break may part.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=place == copied)
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _ANY_WIDTH
    console.print(table)
