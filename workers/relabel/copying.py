"""COPY in binary form, in the transaction of a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString

import psycopg

from app.db.session import WriteSession


def copy_rows(
    session: WriteSession, into: LiteralString, types: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """COPY rows into a table. into: table and columns; types: the columns' types as Postgres names them."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    statement = "COPY " + into + " FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
