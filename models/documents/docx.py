"""DOCX files: paragraphs, tables and text boxes in the order of the document, as it reads with all changes accepted.

python-docx opens the file; what it says of paragraphs leaves out content controls, tracked insertions, fields, nested tables and text
boxes, so the XML is walked here.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any

from models.documents.bombs import refuse_bomb
from models.documents.layout import cleaned
from models.documents.values import Document, DocumentRefusedError, Limits, refuse_length

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How old Office files begin, and encrypted new ones."""
ZIP = b"PK\x03\x04"
"""How zip archives begin, Word files among them."""
CONTENT_TYPES = "[Content_Types].xml"
"""A file that every Office file has."""
_MAIN_PART = "word/document.xml"
_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_GONE = frozenset(
    {
        "del",
        "moveFrom",
        "pPr",
        "rPr",
        "sdtPr",
        "sdtEndPr",
        "tblPr",
        "tblGrid",
        "trPr",
        "tcPr",
        "delText",
        "instrText",
    }
)
"""Elements without text of the document: properties, field codes, what tracked changes have deleted."""
_NOTES = {"footnoteReference": "Footnotes", "endnoteReference": "Endnotes"}


def read_docx(content: bytes, name: str, limits: Limits) -> Document:
    """A Word document. Headers, footers, notes and deleted text are no part of it; cells of a table row are separated by tabs.

    Raises:
        DocumentRefusedError: corrupt, password-protected, empty, too large, an archive bomb, or an archive of something else.
    """
    import docx

    if content.startswith(OLE):
        raise _old_or_encrypted(content, name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            refuse_bomb(archive, name, limits.unpacked_bytes)
            if CONTENT_TYPES not in archive.namelist():
                raise _no_word_file(name)
        body = docx.Document(io.BytesIO(content)).element.body
        text = "\n\n".join(block for block in _blocks(body) if block)
        warnings = _left_out(body)
    except DocumentRefusedError:
        raise
    except MemoryError:  # the machine's fault, not the file's
        raise
    except Exception:  # noqa: BLE001  zlib, lxml and python-docx raise whatever a damaged file makes them stumble over
        raise DocumentRefusedError(
            "document-corrupt", name, "the Word file is damaged: open it and save it again as .docx."
        ) from None
    refuse_length(text, name, limits)
    return Document(text, None, warnings)


def is_word_file(content: bytes) -> bool:
    """Whether a file is a Word document by what is in it, whatever its name."""
    if not content.startswith(ZIP):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _MAIN_PART in archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return False


def _blocks(element: Any) -> Iterator[str]:
    """Paragraphs, tables and text boxes below an element, each as text, in order."""
    for child, kind in _children(element):
        if kind == "p":
            yield cleaned(_words(child)).strip()
            for box in _boxes(child):
                yield from _blocks(box)
        elif kind == "tbl":
            yield "\n".join(_rows(child))
        else:
            yield from _blocks(child)


def _rows(table: Any) -> Iterator[str]:
    """Rows that have a word in them. A cell that spans several rows stands in its first one."""
    for row, kind in _children(table):
        if kind != "tr":
            yield from _rows(row)
            continue
        cells = [
            " ".join(_blocks(cell)).replace("\n", " ").replace("\t", " ").strip() for cell in _cells(row)
        ]
        if any(cells) and not _deleted(row):
            yield "\t".join(cells)


def _cells(row: Any) -> Iterator[Any]:
    for child, kind in _children(row):
        if kind == "tc":
            yield child
        else:
            yield from _cells(child)


def _words(element: Any) -> str:
    """What a paragraph, or a part of one, reads; text boxes that hang on it are left to `_boxes`."""
    found = []
    for child, kind in _children(element):
        if kind == "t":
            found.append(child.text or "")
        elif kind in _SIGNS:
            found.append(_SIGNS[kind])
        elif kind not in {"drawing", "pict", "object"}:
            found.append(_words(child))
    return "".join(found)


def _boxes(element: Any) -> Iterator[Any]:
    """The text boxes that hang on a paragraph, outermost ones."""
    for child, kind in _children(element):
        if kind == "txbxContent":
            yield child
        else:
            yield from _boxes(child)


def _children(element: Any) -> Iterator[tuple[Any, str]]:
    """Children with text of the document and their local names; of alternatives (a drawing, and the same for old Word) the first."""
    for child in element.iterchildren("{*}*"):
        kind = _kind(child)
        if kind == "AlternateContent":
            for choice in list(child)[:1]:
                yield from _children(choice)
        elif kind not in _GONE:
            yield child, kind


def _kind(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _deleted(row: Any) -> bool:
    """Whether a tracked change has deleted a table row."""
    return row.find("{*}trPr/{*}del") is not None


def _left_out(body: Any) -> tuple[str, ...]:
    """A warning for each kind of note that the text refers to."""
    counts = Counter(_kind(element) for element in body.iter("{*}footnoteReference", "{*}endnoteReference"))
    return tuple(f"{words} are left out: {counts[kind]:,}." for kind, words in _NOTES.items() if counts[kind])


def _no_word_file(name: str) -> DocumentRefusedError:
    return DocumentRefusedError(
        "document-kind-unknown",
        name,
        "it is a zip archive and no Word file. If it holds documents, name it .zip.",
    )


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
