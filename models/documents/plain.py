"""Plain text files: which encoding they are in, said where it had to be guessed."""

from __future__ import annotations

import codecs

from models.documents.layout import cleaned
from models.documents.values import Document, DocumentRefusedError, Limits, refuse_length

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_plain(content: bytes, name: str, limits: Limits) -> Document:
    """A text file. Form feeds separate pages.

    Raises:
        DocumentRefusedError: empty, too long, or not text at all.
    """
    text, warnings = decoded(content, name)
    pages = text.count("\x0c") + 1 if "\x0c" in text else None
    plain = cleaned(text.replace("\x0c", "\n\n")).strip()
    refuse_length(plain, name, limits)
    return Document(plain, pages, warnings)


def decoded(content: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    """Text and warnings: by its byte order mark, else UTF-8, else Windows-1252, else Latin-1.

    Raises:
        DocumentRefusedError: it is binary, or its byte order mark lies.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content.decode(encoding), ()
            except UnicodeDecodeError:
                raise DocumentRefusedError(
                    "document-corrupt", name, f"it begins as {encoding} and is not: save it as UTF-8."
                ) from None
    if b"\x00" in content:
        raise DocumentRefusedError(
            "document-kind-unknown", name, "it is a binary file, not text. Send PDF, DOCX or TXT."
        )
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        pass
    try:
        text, encoding = content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:
        text, encoding = content.decode("latin-1"), "Latin-1"
    return text, (f"The file is not UTF-8; it was read as {encoding}: look whether accents are right.",)
