"""COPY in binary form, in the transaction of a session."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray

from app.db.session import WriteSession

_FLOAT4 = 700
"""Oid of real."""


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


def real_arrays(values: NDArray[np.float32]) -> list[bytes]:
    """Rows as Postgres sends real[] in binary form, float32 (rows, width): many times quicker than lists. Copy them as `bytea`.

    https://www.postgresql.org/docs/current/sql-copy.html: the fields of a binary COPY carry no type. Layout of an array:
    src/backend/utils/adt/arrayfuncs.c, array_send.
    """
    rows, width = values.shape
    header = struct.pack(">iiIii", 1, 0, _FLOAT4, width, 1)
    body = np.empty((rows, width), dtype=[("length", ">i4"), ("value", ">f4")])
    body["length"], body["value"] = 4, values
    content, step = body.tobytes(), 8 * width
    return [header + content[start : start + step] for start in range(0, rows * step, step)]
