"""Which reader a file needs."""

from __future__ import annotations

from pathlib import Path

from app.corpora.mapping import Mapping
from workers.importing.delimited import open_delimited
from workers.importing.foreign import ZIP, refuse_foreign
from workers.importing.jsonl import open_jsonl
from workers.importing.source import Source
from workers.importing.workbook import open_workbook
from workers.job_context import JobFailed


def open_source(path: Path, filename: str, mapping: Mapping) -> Source:
    """Open an upload as the format the mapping names, or as its first bytes and name suggest. JobFailed says what is wrong with it."""
    with path.open("rb") as file:
        head = file.read(4096)
    refuse_foreign(head, "file.xlsx" if mapping.format == "xlsx" else filename)
    chosen = mapping.format or _guess(head, filename)
    if chosen == "jsonl":
        return open_jsonl(path, mapping.encoding)
    if chosen == "xlsx":
        return open_workbook(path)
    return open_delimited(path, mapping.encoding, mapping.delimiter)


def _guess(head: bytes, filename: str) -> str:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(ZIP):
        return "xlsx"
    if start.startswith(b"{"):
        return "jsonl"
    if start.startswith(b"[") and filename.lower().endswith(".json"):
        raise JobFailed(
            "unsupported-format",
            "The file is one JSON array: write JSONL instead, one object a line without commas between them.",
        )
    return "jsonl" if filename.lower().endswith((".jsonl", ".ndjson")) and start else "csv"
