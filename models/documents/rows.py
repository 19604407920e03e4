"""Files of rows: JSONL and CSV whose rows are texts with their summaries."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from models.documents.plain import decoded
from models.documents.values import DocumentRefusedError, Limits

Row = dict[str, str]
_LONGEST_FIELD = 10_000_000


def read_rows(content: bytes, name: str, limits: Limits) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of a .jsonl or .csv file as strings by field; null and missing fields are left out.

    Raises:
        DocumentRefusedError: not such a file (the line is named), empty, or too large.
    """
    if len(content) > limits.bytes:
        raise DocumentRefusedError(
            "document-too-large", name, f"more than the {limits.bytes:,} bytes allowed. Split it."
        )
    text, warnings = decoded(content, name)
    if len(text) > 50 * limits.characters:
        raise DocumentRefusedError("document-too-large", name, f"{len(text):,} characters. Split it.")
    rows = _from_csv(text, name) if name.casefold().endswith(".csv") else _from_jsonl(text, name)
    if not rows:
        raise DocumentRefusedError("document-empty", name, "the file has no rows. Leave it out.")
    return rows, warnings


def _from_jsonl(text: str, name: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):  # the latter: brackets in brackets in brackets
            row = None
        if not isinstance(row, dict):
            raise DocumentRefusedError(
                "document-corrupt", name, f"line {number} is no JSON object. Write one object a line."
            )
        rows.append({str(key): _plain(value) for key, value in row.items() if value is not None})
    return rows


def _from_csv(text: str, name: str) -> list[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header or len(set(header)) < len(header):
            raise DocumentRefusedError(
                "document-corrupt", name, "the first line must name the columns, each once."
            )
        rows = []
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise DocumentRefusedError(
                    "document-corrupt",
                    name,
                    f"line {reader.line_num} has {len(values)} fields, the header {len(header)}.",
                )
            rows.append({key: value for key, value in zip(header, values, strict=True) if value})
    except csv.Error as error:
        raise DocumentRefusedError(
            "document-corrupt", name, f"line {reader.line_num} is no CSV: {error}."
        ) from None
    return rows


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
