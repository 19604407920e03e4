"""Document sets: uploaded files and what was read out of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class DocumentSet(Base):
    """Files that were uploaded together; they belong to a corpus as its texts do. `read_at`: every file was read or refused."""

    __tablename__ = "document_sets"
    __table_args__ = (Index("ix_document_sets_listing", "created_at", "id"),)
    id: Mapped[Identifier]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    created_by: Mapped[str | None]
    created_at: Mapped[Created]
    read_at: Mapped[datetime | None]


class DocumentFile(Base):
    """A file of a set, or a file inside one of its archives.

    `text_blob` is UTF-8: the text of a document, or JSONL of the rows of a file of rows.
    """

    __tablename__ = "document_files"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'read', 'refused', 'unpacked')", name="status"),
        CheckConstraint("kind IN ('document', 'rows', 'archive')", name="kind"),
        CheckConstraint("(status = 'read') = (text_blob IS NOT NULL)", name="text"),
        CheckConstraint("(status = 'refused') = (code IS NOT NULL)", name="refusal"),
    )
    id: Mapped[Number]
    set_id: Mapped[str] = mapped_column(ForeignKey("document_sets.id", ondelete="CASCADE"), index=True)
    filename: Mapped[str]
    """As uploaded, without folders; inside an archive: `archive.zip/folder/file.pdf`."""
    source_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    inside: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it came out of an archive."""
    status: Mapped[str] = mapped_column(server_default="waiting")
    tries: Mapped[int] = mapped_column(server_default="0")
    """Begun readings: a file that ended the process twice is refused."""
    kind: Mapped[str | None]
    pages: Mapped[int | None]
    characters: Mapped[int | None] = mapped_column(BigInteger)
    row_count: Mapped[int | None]
    code: Mapped[str | None]
    detail: Mapped[str | None]
    warnings: Mapped[list[Any]] = mapped_column(server_default="[]")
    text_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.digest"))
