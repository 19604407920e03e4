"""Database sessions for handlers: committed before the answer is sent, so that a failing commit is never answered 202."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends

from app.db.session import ReadSession, WriteSession, reading, writing


def _read() -> Iterator[ReadSession]:
    with reading() as session:
        yield session


def _write() -> Iterator[WriteSession]:
    with writing() as session:
        yield session


ReadDB = Annotated[ReadSession, Depends(_read, scope="function")]
"""A read-only session for the length of the handler."""
WriteDB = Annotated[WriteSession, Depends(_write, scope="function")]
"""A transaction that commits when the handler returns and rolls back when it raises."""
