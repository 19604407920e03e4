"""CSV and its relatives as rows: delimiter guessed, line numbers right with quoted newlines, encoding errors with their line."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from workers.importing.source import Rejected, Row, Source
from workers.job_context import JobFailed

_DELIMITERS = ",;\t|"
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_LONGEST_FIELD = 1 << 24
_SAMPLE = 1 << 16
_MANY_LINES = 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


def open_delimited(path: Path, encoding: str | None, delimiter: str | None) -> Source:
    """Open a CSV file. JobFailed when it is empty, has no header, repeats a column's name or is not text."""
    csv.field_size_limit(_LONGEST_FIELD)
    head = path.open("rb").read(_SAMPLE)
    encoding = encoding or next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8-sig")
    _check_text(head, encoding)
    sample = head.decode(encoding, "replace")
    separator_line = _SEPARATOR_LINE.match(sample)
    chosen = delimiter or (separator_line.group(1) if separator_line else _guess_delimiter(sample))
    skip = 1 if separator_line else 0
    header = next((values for _, values in _records(path, encoding, chosen, skip)), None)
    if header is None:
        raise JobFailed("empty-file", "The file is empty: it has no header line and no rows.")
    columns = _columns(header)
    notes = [f"Columns are separated by {_NAMES.get(chosen, repr(chosen))}."]
    if encoding not in {"utf-8-sig", "utf-8"}:
        notes.append(f"The text is read as {encoding}.")

    def rows() -> Iterator[Row | Rejected]:
        records = _records(path, encoding, chosen, skip)
        next(records, None)
        for line, values in records:
            if len(values) == len(columns):
                yield Row(line, values)
            elif len(values) > 1 or values[0].strip():
                yield Rejected(line, "", _ragged(values, len(columns)))

    return Source("csv", columns, rows, tuple(notes))


def _ragged(values: list[str], columns: int) -> str:
    reason = f"The row has {len(values)} fields, the header has {columns}."
    if sum(value.count("\n") for value in values) > _MANY_LINES:
        reason += " It goes on over many lines: a quotation mark is opened in it and never closed, perhaps."
    return reason


def _records(path: Path, encoding: str, delimiter: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins on; blank lines are passed over."""
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        reader = csv.reader(_decoded_lines(file, encoding), delimiter=delimiter, strict=False)
        line = 1
        try:
            for number, values in enumerate(reader):
                if values and number >= skip:
                    yield line, values
                line = reader.line_num + 1
        except UnicodeDecodeError:
            raise JobFailed(
                "invalid-encoding",
                f"From line {line} on the file is not valid {encoding.upper()}.",
                line=line,
            ) from None
        except csv.Error as error:
            raise JobFailed(
                "unreadable",
                f"The record that begins on line {line} cannot be read ({error}): is a quotation mark opened there and never closed?",
                line=line,
            ) from None


def _decoded_lines(file: io.TextIOBase, encoding: str) -> Iterator[str]:
    """The lines of a file opened with surrogateescape; JobFailed, with the line number, at the first byte that is not in the encoding."""
    for number, line in enumerate(file, 1):
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError as error:
                byte = ord(line[error.start]) - 0xDC00
                raise JobFailed(
                    "invalid-encoding",
                    f"Line {number} is not valid {encoding.removesuffix('-sig').upper()} (byte 0x{byte:02X}). If the file comes from Excel on Windows, give the "
                    'encoding: {"encoding": "cp1252"} in the mapping (or "latin-1"), or save it as UTF-8.',
                    line=number,
                ) from None
        yield line


def _guess_delimiter(sample: str) -> str:
    """The delimiter under which most of the first records have as many fields as the header, and the most fields."""

    def agreement(delimiter: str) -> tuple[float, int]:
        records = [
            record for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if record
        ][:50]
        records = records[:-1] if len(records) > 2 else records
        width = len(records[0]) if records else 0
        return (sum(len(record) == width for record in records) / len(records) if width > 1 else 0.0, width)

    try:
        return max(_DELIMITERS, key=agreement)
    except csv.Error:
        return ","


def _columns(header: list[str]) -> tuple[str, ...]:
    names = [name.strip() for name in header]
    for name in names:
        if "\x00" in name:
            raise JobFailed("not-text", "The header holds NUL characters: this is no CSV file.")
        if name and names.count(name) > 1:
            raise JobFailed(
                "column-twice",
                f"The header has the column {name!r} {names.count(name)} times: rename one.",
                column=name,
            )
    if not any(names):
        raise JobFailed("no-header", "The first line has no column names.")
    return tuple(name or f"(column {number})" for number, name in enumerate(names, 1))


def _check_text(head: bytes, encoding: str) -> None:
    if not head.strip():
        raise JobFailed("empty-file", "The file is empty: it has no header line and no rows.")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise JobFailed(
            "unsupported-format", "This is an old Excel file (.xls): save it as .xlsx or as CSV (UTF-8)."
        )
    if head.startswith((b"<stata_dta>", b"\x71\x01", b"\x72\x01", b"\x73\x01")):
        raise JobFailed(
            "unsupported-format",
            "This is a Stata file: in Stata, `export delimited using file.csv, quote` writes a CSV that can be imported.",
        )
    if "utf-16" not in encoding and "utf-32" not in encoding and head.count(b"\x00") > len(head) // 100:
        raise JobFailed(
            "not-text",
            "The file is full of NUL bytes: it is not CSV, JSONL or .xlsx, or it is UTF-16 and needs the encoding named.",
        )
