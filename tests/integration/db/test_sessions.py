"""A read session reads one snapshot and cannot write; nothing of it sticks to the connection."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import InternalError

from app.db.session import reading, writing


def test_reading_is_one_snapshot_without_writes(engine: Engine) -> None:
    """Rows committed meanwhile are not seen; an insert is refused by Postgres; the next writer may write."""
    count = text("SELECT count(*) FROM blobs")
    insert = text("INSERT INTO blobs (digest, size, media_type, purpose) VALUES (:digest, 1, 'a/b', 'test')")
    with reading(engine) as session:
        assert session.scalar(count) == 0
        with writing(engine) as other:
            other.execute(insert, {"digest": "a"})
        assert session.scalar(count) == 0
    with reading(engine) as session, pytest.raises(InternalError, match="read-only"):
        session.execute(insert, {"digest": "b"})
    with writing(engine) as session:
        session.execute(insert, {"digest": "b"})
        assert session.scalar(text("SHOW transaction_isolation")) == "read committed"
    with reading(engine) as session:
        assert session.scalar(count) == 2


def test_a_read_session_takes_its_connection_with_the_first_query(engine: Engine) -> None:
    """Opened and not used, it holds none: handlers look their caller up meanwhile."""
    with reading(engine) as session:
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        session.execute(text("SELECT 1"))
        assert engine.pool.checkedout() == 1  # type: ignore[attr-defined]
