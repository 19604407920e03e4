"""Rows as CSV that no spreadsheet will execute, and as JSON lines that lose nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe(value: Any) -> Any:
    """A CSV cell: None blank, booleans 1 and 0, times in UTC, JSON for what has parts; text that a spreadsheet would run gets a leading apostrophe.

    See OWASP, "CSV Injection". Numbers stay numbers: a negative one is no formula.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def csv_block(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as UTF-8 CSV lines (RFC 4180)."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([safe(value) for value in row] for row in rows)
    return buffer.getvalue().encode()


def json_block(rows: Iterable[dict[str, Any]]) -> bytes:
    """One JSON object a line, as it is."""
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z) for row in rows)
