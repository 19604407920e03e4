"""The SQL of listings that show the newest first, page by page (their cursors: `app/http/paging.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

R = TypeVar("R")


def newest_first(
    query: Select[R],
    moment: InstrumentedAttribute[datetime],
    identifier: InstrumentedAttribute[str],
    before: tuple[datetime, str] | None,
    limit: int,
) -> Select[R]:
    """A page of a query's rows, newest first, the identifier where moments tie.

    Args:
        query: the rows to list.
        moment: when a row came to be.
        identifier: tells rows of one moment apart.
        before: (moment, identifier) of the last row already seen.
        limit: most rows.
    """
    if before is not None:
        query = query.where(tuple_(moment, identifier) < before)
    return query.order_by(moment.desc(), identifier.desc()).limit(limit)
