"""DOCX files: paragraphs and tables in the order of the document (python-docx)."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from models.documents.bombs import refuse_bomb
from models.documents.layout import cleaned
from models.documents.values import Document, DocumentRefusedError, Limits, refuse_length

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How old Office files begin, and encrypted new ones."""


def read_docx(content: bytes, name: str, limits: Limits) -> Document:
    """A Word document. Headers, footers and deleted text are no part of it; cells of a table row are separated by tabs.

    Raises:
        DocumentRefusedError: corrupt, password-protected, empty, too large, or an archive bomb.
    """
    import docx

    if content.startswith(OLE):
        raise _old_or_encrypted(content, name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            refuse_bomb(archive, name, limits.unpacked_bytes)
            names = set(archive.namelist())
        document = docx.Document(io.BytesIO(content))
        blocks = list(_blocks(document))
    except DocumentRefusedError:
        raise
    except MemoryError:  # the machine's fault, not the file's
        raise
    except Exception:  # noqa: BLE001  zlib, lxml and python-docx raise whatever a damaged file makes them stumble over
        raise DocumentRefusedError(
            "document-corrupt", name, "the Word file is damaged: open it and save it again as .docx."
        ) from None
    text = "\n\n".join(block for block in blocks if block)
    refuse_length(text, name, limits)
    notes = [part for part in ("footnotes", "endnotes") if f"word/{part}.xml" in names]
    warnings = (f"{' and '.join(notes).capitalize()} are left out.",) if notes else ()
    return Document(text, None, warnings)


def _blocks(document: Any) -> Iterator[str]:
    from docx.table import Table

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield "\n".join(_rows(block))
        else:
            yield cleaned(block.text).strip()


def _rows(table: Any) -> Iterator[str]:
    for row in table.rows:
        seen: list[Any] = []
        cells = []
        for cell in row.cells:
            if cell._tc in seen:  # noqa: SLF001  a merged cell is listed once per column it spans
                continue
            seen.append(cell._tc)  # noqa: SLF001
            cells.append(cleaned(cell.text).replace("\n", " ").strip())
        if any(cells):
            yield "\t".join(cells)


def _old_or_encrypted(content: bytes, name: str) -> DocumentRefusedError:
    if "EncryptedPackage".encode("utf-16-le") in content:
        return DocumentRefusedError(
            "document-password-protected",
            name,
            "the Word file is protected by a password. Save it without one.",
        )
    return DocumentRefusedError(
        "document-kind-unknown", name, "it is a Word file of the old format: save it as .docx, PDF or TXT."
    )
