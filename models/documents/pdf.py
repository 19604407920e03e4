"""PDF files: the text layer page by page (pypdf), and why there is none."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from models.documents.layout import paragraphs_of
from models.documents.values import Document, DocumentRefusedError, Limits, refuse_length

LETTERS_OF_A_PAGE = 12
"""A page with an image and fewer letters is a scan (a stamp or a page number may have been set over it)."""
_DEEPEST = 3
"""Forms within forms that are looked into for images."""


def read_pdf(content: bytes, name: str, limits: Limits, breathe: Callable[[], None]) -> Document:
    """The text layer of a PDF, pages in order.

    A file that only an owner's password protects opens without one and is read. `breathe` is called before every page.

    Raises:
        DocumentRefusedError: corrupt, password-protected, scanned without a text layer, empty or too large.
    """
    pages = _pages(content, name, limits)
    texts: list[str] = []
    scanned, broken = [], []
    length = 0
    for number, page in enumerate(pages, 1):
        breathe()
        try:
            text = page.extract_text() or ""
        except Exception:  # noqa: BLE001  pypdf raises whatever a broken page makes it stumble over
            text = ""
            broken.append(number)
        texts.append(text)
        length += len(text)
        if length > limits.characters:
            refuse_length("x" * length, name, limits)
        if sum(letter.isalnum() for letter in text) < LETTERS_OF_A_PAGE and _has_image(page):
            scanned.append(number)
    _refuse_textless(texts, scanned, broken, name)
    text, removed = paragraphs_of(texts)
    refuse_length(text, name, limits)
    return Document(text, len(texts), _warnings(scanned, broken, removed, len(texts)))


def _pages(content: bytes, name: str, limits: Limits) -> list[Any]:
    from pypdf import PasswordType, PdfReader

    logging.getLogger("pypdf").setLevel(logging.ERROR)
    try:
        reader = PdfReader(io.BytesIO(content), strict=False)
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise DocumentRefusedError(
                "document-password-protected",
                name,
                "the PDF is protected by a password. Send it without one.",
            )
        count = len(reader.pages)
        if count > limits.pages:
            raise DocumentRefusedError(
                "document-too-large",
                name,
                f"{count:,} pages, more than the {limits.pages:,} allowed. Split it.",
            )
        return list(reader.pages)
    except DocumentRefusedError:
        raise
    except MemoryError:  # the machine's fault, not the file's
        raise
    except Exception:  # noqa: BLE001  pypdf raises whatever a damaged file makes it stumble over
        raise _corrupt(name) from None


def _refuse_textless(texts: list[str], scanned: list[int], broken: list[int], name: str) -> None:
    if not texts or len(broken) == len(texts):
        raise _corrupt(name)
    if len(scanned) == len(texts) or (scanned and not any(text.strip() for text in texts)):
        raise DocumentRefusedError(
            "document-scanned",
            name,
            f"its {len(texts)} pages are images without a text layer. Run OCR over it first (for example ocrmypdf) and send the result.",
        )


def _warnings(scanned: list[int], broken: list[int], removed: int, pages: int) -> tuple[str, ...]:
    found = []
    if scanned:
        found.append(
            f"{len(scanned)} of {pages} pages are images without text ({_listed(scanned)}): OCR them."
        )
    if broken:
        found.append(f"{len(broken)} of {pages} pages could not be read ({_listed(broken)}).")
    if removed:
        found.append(f"{removed} running header and footer lines were left out.")
    return tuple(found)


def _has_image(page: Any) -> bool:
    """Whether a page shows an image, itself or through the forms that it draws, without decoding it."""
    try:
        return _draws_image(page, _DEEPEST)
    except Exception:  # noqa: BLE001  pypdf raises whatever a broken page makes it stumble over
        return False


def _draws_image(holder: Any, deepest: int) -> bool:
    if "/Resources" not in holder or "/XObject" not in holder["/Resources"]:
        return False
    objects = holder["/Resources"]["/XObject"].get_object()
    for key in objects:
        found = objects[key].get_object()
        if found.get("/Subtype") == "/Image":
            return True
        if found.get("/Subtype") == "/Form" and deepest and _draws_image(found, deepest - 1):
            return True
    return False


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")


def _corrupt(name: str) -> DocumentRefusedError:
    return DocumentRefusedError(
        "document-corrupt",
        name,
        "the PDF is damaged or cut off. Open it and save it again, or send another copy.",
    )
