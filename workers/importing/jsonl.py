"""JSON lines as rows; columns are the keys in the order they first occur."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.http.problems import Invalid
from app.http.schemas import check_storable
from workers.importing.source import Rejected, Row, Source
from workers.job_context import JobFailed


def open_jsonl(path: Path, encoding: str | None) -> Source:
    """Open a file with one JSON object a line. JobFailed when it is empty or holds no object."""
    encoding = encoding or "utf-8-sig"
    columns: dict[str, None] = {}
    objects = 0
    for _, found in _objects(path, encoding):
        if isinstance(found, dict):
            objects += 1
            columns.update(dict.fromkeys(found))
    if not objects:
        raise JobFailed(
            "empty-file",
            'The file holds no JSON object: JSONL has one object a line, such as {"id": "1", "text": "…"}.',
        )
    names = tuple(columns)

    def rows() -> Iterator[Row | Rejected]:
        for line, found in _objects(path, encoding):
            if isinstance(found, dict):
                yield Row(line, [found.get(name) for name in names])
            else:
                yield Rejected(line, "", found)

    return Source("jsonl", names, rows)


def _objects(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Each line's object, or why there is none."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode(encoding)
            except UnicodeDecodeError as error:
                raise JobFailed(
                    "invalid-encoding",
                    f"Line {number} is not valid {encoding.removesuffix('-sig').upper()} (byte 0x{raw[error.start]:02X}): save the file as UTF-8, or name its encoding in the mapping.",
                    line=number,
                ) from None
            if line.strip():
                yield number, _object(line)


def _object(line: str) -> dict[str, Any] | str:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return "The line is not valid JSON."
    if not isinstance(found, dict):
        return "The line is JSON, but not an object in braces."
    if "\\u" in line or "NaN" in line or "Infinity" in line:
        try:
            check_storable(found)
        except Invalid as invalid:
            return f"{invalid.field}: {invalid.detail}"
    return found
