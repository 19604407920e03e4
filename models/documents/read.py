"""One uploaded file: which reader takes it, or what to do about it. Archives are unpacked to their files."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from models.documents.bombs import refuse_bomb
from models.documents.docx import CONTENT_TYPES, OLE, is_word_file, read_docx
from models.documents.pdf import read_pdf
from models.documents.plain import read_plain
from models.documents.values import Document, DocumentRefusedError, Limits

PLAIN = frozenset({".txt", ".text", ".md"})
ROWS = frozenset({".jsonl", ".csv"})
_PDF = b"%PDF-"


def _nothing() -> None:
    """For readings that nobody waits for."""


def is_archive(name: str) -> bool:
    """Whether a file is a zip of files."""
    return _suffix(name) == ".zip"


def has_rows(name: str) -> bool:
    """Whether a file has rows of texts and summaries (JSONL or CSV)."""
    return _suffix(name) in ROWS


def read_document(
    content: bytes, name: str, limits: Limits, breathe: Callable[[], None] = _nothing
) -> Document:
    """A PDF, DOCX or plain text file as text. PDF and Word files are known by what is in them, whatever their name.

    Args:
        content: of the file.
        name: its name.
        limits: what it may hold.
        breathe: called between two pages; whatever it raises ends the reading.

    Raises:
        DocumentRefusedError: it cannot be read; code and words say why.
    """
    if not content.strip():
        raise DocumentRefusedError("document-empty", name, "the file is empty. Leave it out.")
    if len(content) > limits.bytes:
        raise DocumentRefusedError(
            "document-too-large",
            name,
            f"more than the {limits.bytes:,} bytes allowed. Split it.",
        )
    suffix = _suffix(name)
    # Rubbish may stand before a PDF's first line; a text about PDF is none.
    begins = content.lstrip().startswith(_PDF) if suffix in PLAIN else _PDF in content[:1024]
    word = content.startswith(OLE) or is_word_file(content)
    if begins or (suffix == ".pdf" and not word):
        return read_pdf(content, name, limits, breathe)
    if suffix == ".docx" or word:
        return read_docx(content, name, limits)
    if suffix in PLAIN:
        return read_plain(content, name, limits)
    raise DocumentRefusedError(
        "document-kind-unknown",
        name,
        f"files named {suffix or 'without an ending'} are not read. Send PDF, DOCX or TXT, or JSONL or CSV of texts with summaries.",
    )


def unpacked(content: bytes | Path, name: str, limits: Limits) -> Iterator[tuple[str, bytes]]:
    """The files of a zip as (path inside it, content), sorted by path; folders and hidden files are passed over.

    Raises:
        DocumentRefusedError: corrupt, encrypted, empty, a bomb, or more files than allowed.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as archive:
            refuse_bomb(archive, name, limits.archive_bytes)
            members = sorted(
                (member for member in archive.infolist() if _wanted(member)),
                key=lambda member: member.filename,
            )
            if any(member.filename == CONTENT_TYPES for member in members):
                raise DocumentRefusedError(
                    "document-kind-unknown",
                    name,
                    "it is an Office file and no archive of documents: give it its own ending.",
                )
            if not members:
                raise DocumentRefusedError("document-empty", name, "the archive holds no files.")
            if len(members) > limits.files:
                raise DocumentRefusedError(
                    "document-too-large",
                    name,
                    f"{len(members):,} files, more than the {limits.files:,} allowed. Send several archives.",
                )
            for member in members:
                with archive.open(member) as opened:
                    # No more than shows that it is too large: who reads it refuses it by name.
                    yield member.filename, opened.read(limits.bytes + 1)
    except DocumentRefusedError:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):  # fmt: skip
        raise DocumentRefusedError(
            "document-corrupt", name, "the archive is damaged: make it again as a plain .zip."
        ) from None


def _wanted(member: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(member.filename).parts
    return not member.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in parts)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.casefold()
