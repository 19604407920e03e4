"""Files that hold no table, told by their first bytes, with what to do instead."""

from __future__ import annotations

from collections.abc import Collection

from workers.job_context import JobFailed

ZIP = b"PK\x03\x04"
_FIRST_BYTES = (
    (b"%PDF-", "a PDF document", "import a table that has its text in a column"),
    (b"{\\rtf", "an RTF document", "import a table that has its text in a column"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and upload the CSV or JSONL inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and upload the CSV or JSONL inside"),
    (b"Rar!", "a RAR archive", "unpack it and upload the CSV or JSONL inside"),
    (b"PAR1", "a Parquet file", "write it as CSV or JSONL"),
)
_INSIDE_ZIP = (
    ("word/document.xml", "a Word document (.docx)", "import a table that has its text in a column"),
    ("ppt/presentation.xml", "a PowerPoint file (.pptx)", "import a table that has its text in a column"),
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)", "save it as .xlsx or as CSV (UTF-8)"),
    ("META-INF/manifest.xml", "an OpenDocument file (.ods, .odt)", "save the sheet as .xlsx or as CSV (UTF-8)"),
)  # fmt: skip


def refuse_foreign(head: bytes, filename: str) -> None:
    """JobFailed (unsupported-format) for the first bytes of a format that is not imported, or of text that is called .xlsx."""
    for magic, name, instead in _FIRST_BYTES:
        if head.startswith(magic):
            raise _unsupported(name, instead)
    excel = head.startswith((ZIP, b"\xd0\xcf\x11\xe0"))
    if filename.lower().endswith(".xlsx") and not excel:
        raise JobFailed(
            "unsupported-format",
            "The file is called .xlsx but is no Excel workbook. If it is text, name it .csv or .jsonl; else save it as .xlsx or CSV (UTF-8) again.",
        )


def refuse_archive(names: Collection[str]) -> None:
    """JobFailed (unsupported-format) for a zip archive, by the names in it, that is no Excel workbook."""
    if "xl/workbook.xml" in names:
        return
    for member, name, instead in _INSIDE_ZIP:
        if member in names:
            raise _unsupported(name, instead)
    raise _unsupported("a zip archive, not an Excel workbook", "upload the CSV or JSONL inside it")


def _unsupported(name: str, instead: str) -> JobFailed:
    return JobFailed("unsupported-format", f"This is {name}: {instead}.")
