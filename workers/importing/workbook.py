"""Excel workbooks (.xlsx) as rows: the first sheet, read as a stream; line numbers are the sheet's row numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from app.settings import get_settings
from workers.importing.foreign import refuse_archive
from workers.importing.source import Rejected, Row, Source
from workers.job_context import JobFailed

_DAMAGED = "The workbook is damaged: save it again, or save the sheet as CSV (UTF-8)."


def open_workbook(path: Path) -> Source:
    """Open the first sheet. JobFailed when openpyxl is not installed, the file is no workbook, or it unpacks to more than an upload may hold."""
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401  # asked for here, used in _sheet
    except ImportError:
        raise JobFailed(
            "unsupported-format",
            "Reading .xlsx needs the package openpyxl on the server: install it, or save the sheet as CSV (UTF-8).",
        ) from None
    _check_size(path)
    header = next(_sheet(path), None)
    if header is None or not any(header[1]):
        raise JobFailed("empty-file", "The first sheet is empty: it has no header row.")
    columns = tuple(str(name).strip() or f"(column {number})" for number, name in enumerate(header[1], 1))
    repeated = next((name for name in columns if columns.count(name) > 1), None)
    if repeated is not None:
        raise JobFailed(
            "column-twice", f"The header has the column {repeated!r} twice: rename one.", column=repeated
        )

    def rows() -> Iterator[Row | Rejected]:
        records = _sheet(path)
        next(records, None)
        for line, values in records:
            if any(value != "" for value in values):
                yield Row(line, (values + [""] * len(columns))[: len(columns)])

    return Source("xlsx", columns, rows, ("The first sheet of the workbook is read.",))


def _sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    import openpyxl

    try:
        # Given as an open file: openpyxl refuses names without .xlsx, and blobs are named by their digest.
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
                yield number, [_words(value) for value in cells]
    except (KeyError, IndexError, ValueError, TypeError, SyntaxError, zipfile.BadZipFile):
        raise JobFailed("unreadable", _DAMAGED) from None


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            refuse_archive(frozenset(archive.namelist()))
    except zipfile.BadZipFile:
        raise JobFailed("unreadable", _DAMAGED) from None
    if unpacked > get_settings().max_upload_bytes:
        raise JobFailed(
            "too-large", f"The workbook unpacks to {unpacked:,} bytes, more than an upload may hold."
        )
