"""Sessions: a read session and a write session, told apart by type so that a reader cannot write by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NewType

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from app.settings import get_settings

ReadSession = NewType("ReadSession", Session)
"""A session in a read-only transaction."""
WriteSession = NewType("WriteSession", Session)
"""A session whose transaction is committed by `writing()`, or rolled back when anything is raised."""
AnySession = ReadSession | WriteSession


def sqlalchemy_url(url: str) -> str:
    """A `postgresql://` address with the psycopg 3 driver named."""
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg://" + url.removeprefix(scheme)
    return url


def make_engine(url: str, pool_size: int = 10) -> Engine:
    """An engine with a small checked pool, UTC, a bound on forgotten transactions, and errors that quote no values."""
    return create_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=20,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # values may be texts, and errors are logged
        connect_args={
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=300000",
            "connect_timeout": 10,
            "application_name": "remand",
        },
    )


@lru_cache(maxsize=4)
def engine_for(url: str) -> Engine:
    """The process's engine for an address, made once."""
    return make_engine(url)


def get_engine() -> Engine:
    """The engine for the configured database; RuntimeError names the setting when there is none."""
    url = get_settings().database_url
    if not url:
        raise RuntimeError("no database: set REMAND_DATABASE_URL, or start everything with `remand up`")
    return engine_for(url)


@contextmanager
def reading(engine: Engine | None = None) -> Iterator[ReadSession]:
    """A read-only transaction at one snapshot of the data; its connection is taken with the first query, not before."""
    # As options of the connection they cost no round trip, and a handler holds none while its caller is looked up.
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with Session((engine or get_engine()).execution_options(**options), expire_on_commit=False) as session:
        yield ReadSession(session)


@contextmanager
def writing(engine: Engine | None = None) -> Iterator[WriteSession]:
    """A transaction: commits at the end of the block, rolls back when the block raises."""
    with Session(engine or get_engine(), expire_on_commit=False) as session, session.begin():
        yield WriteSession(session)
