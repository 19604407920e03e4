"""Reviews, claims and audit samples."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class Review(Base):
    """One person's decision on a cell; append-only. An undo is a row that names what it `undoes`.

    The newest row of a cell that is neither an undo nor undone is in force. `value`: yes, no, an option key, uncertain, not_applicable.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_cell", "text_id", "question_id", "option_id", "id"),
        Index("uq_reviews_undoes", "undoes", unique=True, postgresql_where=text("undoes IS NOT NULL")),
        CheckConstraint("(undoes IS NULL) = (value IS NOT NULL)", name="undo"),
    )
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    text_version_id: Mapped[int] = mapped_column(BigInteger)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    option_id: Mapped[int | None] = mapped_column(ForeignKey("options.id", ondelete="CASCADE"))
    value: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    reviewer: Mapped[str]
    reviewer_key_id: Mapped[str | None]
    disagreement_id: Mapped[int | None] = mapped_column(BigInteger)
    audit_sample_id: Mapped[str | None]
    shown: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """What the person had seen: {"blind": bool, "probability": …, "ranking": …, "annotators": […]}."""
    scheme_version: Mapped[int]
    definition_digest: Mapped[str]
    """Of the option's definition (of all options' for choose_one): a changed definition reopens the cell."""
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    created_at: Mapped[Created]


class Claim(Base):
    """A reviewer is at work on a cell until `expires_at`."""

    __tablename__ = "claims"
    __table_args__ = (
        UniqueConstraint("text_id", "question_id", "option_id", postgresql_nulls_not_distinct=True),
    )
    id: Mapped[Number]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    option_id: Mapped[int | None] = mapped_column(ForeignKey("options.id", ondelete="CASCADE"))
    reviewer: Mapped[str]
    expires_at: Mapped[datetime]


class AuditSample(Base):
    """A random sample of texts sealed before anyone looks: design, seed and frame are fixed at creation."""

    __tablename__ = "audit_samples"
    id: Mapped[Identifier]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    design: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    frame_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    looks_declared: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[str | None]
    sealed_at: Mapped[Created]


class AuditSampleText(Base):
    """A sampled text with its inclusion probability, in reading order."""

    __tablename__ = "audit_sample_texts"
    audit_sample_id: Mapped[str] = mapped_column(
        ForeignKey("audit_samples.id", ondelete="CASCADE"), primary_key=True
    )
    text_id: Mapped[int] = mapped_column(
        ForeignKey("texts.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    reading_order: Mapped[int]
    stratum: Mapped[str] = mapped_column(server_default="")
    inclusion: Mapped[float] = mapped_column(REAL)
    skipped_at: Mapped[datetime | None]


class AuditLook(Base):
    """A declared look at an audit sample's outcome; looks are counted because each one costs certainty."""

    __tablename__ = "audit_looks"
    audit_sample_id: Mapped[str] = mapped_column(
        ForeignKey("audit_samples.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    result: Mapped[dict[str, Any]]
    looked_by: Mapped[str | None]
    at: Mapped[Created]
