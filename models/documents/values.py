"""What reading a document gives, what it may take, and how it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Most that one document may hold. Sizes in bytes, lengths in characters."""

    bytes: int = 64 * 2**20
    characters: int = 20_000_000
    pages: int = 10_000
    unpacked_bytes: int = 512 * 2**20
    """Of everything inside a .docx, unpacked."""
    archive_bytes: int = 2 * 2**30
    """Of everything inside a .zip, unpacked."""
    files: int = 2000
    """Files inside a .zip."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as text."""

    text: str
    """Paragraphs separated by blank lines, in reading order."""
    pages: int | None
    """None where the format knows no pages."""
    warnings: tuple[str, ...] = ()


class DocumentRefusedError(ValueError):
    """A file that cannot be read. `code` is stable; the text names the file and says what to do."""

    def __init__(self, code: str, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.code = code
        self.name = name


def refuse_length(text: str, name: str, limits: Limits) -> None:
    """Raise DocumentRefusedError for text without any letter, and for too much of it."""
    if not any(letter.isalnum() for letter in text):
        raise DocumentRefusedError("document-empty", name, "the file holds no text. Leave it out.")
    if len(text) > limits.characters:
        raise DocumentRefusedError(
            "document-too-large",
            name,
            f"{len(text):,} characters, more than the {limits.characters:,} allowed. Split it into several files.",
        )
