"""The watermark of a run over a whole corpus: how many of its texts are written."""

from __future__ import annotations

from typing import TypeVar

from app.db.session import WriteSession
from app.db.tables import RelabelRun, SummaryRun

R = TypeVar("R", RelabelRun, SummaryRun)


def row_awaiting(session: WriteSession, table: type[R], run_id: str, start: int, end: int) -> R | None:
    """A run's row, locked, when texts `start` to `end` are the next to be written.

    None when they are written already, by a transaction whose commit was not heard of, or the run is gone.

    Raises:
        RuntimeError: the watermark stands elsewhere.
    """
    row = session.get(table, run_id, with_for_update=True, populate_existing=True)
    if row is None or row.watermark >= end:
        return None
    if row.watermark != start:
        raise RuntimeError(f"the watermark is {row.watermark}, not {start}")
    return row
