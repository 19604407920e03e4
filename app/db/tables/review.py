"""Reviews, claims and audit samples."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
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
    __table_args__ = (
        UniqueConstraint("corpus_id", "name"),
        UniqueConstraint("plan_id", "look"),
        CheckConstraint("purpose IN ('totals', 'stopping')", name="purpose"),
        CheckConstraint("readers IN (1, 2)", name="readers"),
        CheckConstraint("state IN ('reading', 'closed')", name="state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("released_at IS NULL OR closed_at IS NOT NULL", name="released"),
        CheckConstraint(
            "(purpose = 'stopping') = (plan_id IS NOT NULL AND look BETWEEN 1 AND looks_declared)",
            name="look",
        ),
    )
    id: Mapped[Identifier]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    purpose: Mapped[str]
    """`totals`: of every label of the corpus; `stopping`: of the remainder that reviews have not decided."""
    snapshot_id: Mapped[str] = mapped_column(ForeignKey("label_snapshots.id", ondelete="CASCADE"))
    """The given labels that are audited, and the text versions that are read."""
    run_id: Mapped[str | None] = mapped_column(ForeignKey("relabel_runs.id", ondelete="SET NULL"))
    ranking_id: Mapped[str | None] = mapped_column(ForeignKey("rankings.id", ondelete="SET NULL"))
    """The ranking whose suspicion made the strata and the expectations; None: there was none."""
    scheme_version: Mapped[int]
    option_keys: Mapped[list[str]]
    """Options that are read, by position."""
    readers: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(server_default="reading")
    design: Mapped[dict[str, Any]]
    seed: Mapped[int] = mapped_column(BigInteger)
    frame_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    """Arrow IPC, `app.audits.frame`: every text that could be drawn, with its stratum, given values and suspicion."""
    seal_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    """The sealed document, JSON: design, strata, drawn texts, and digests of the frame and of all of it."""
    plan_id: Mapped[str | None] = mapped_column(ForeignKey("audit_samples.id", ondelete="CASCADE"))
    """The first sample of a stopping plan, which declared claim, alpha and looks."""
    look: Mapped[int | None]
    looks_declared: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[str | None]
    sealed_at: Mapped[Created]
    closed_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]


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
    """When it was declared skipped without having been read."""
    text_version_id: Mapped[int] = mapped_column(BigInteger)
    """The version that is read: the one whose labels are audited."""


class AuditReading(Base):
    """One person's blind reading of a sampled text; append-only, the newest by the same person in the same role counts.

    Kept apart from reviews: nothing that trains or ranks sees it before its sample is closed and released.
    """

    __tablename__ = "audit_readings"
    __table_args__ = (
        Index("ix_audit_readings_sample", "audit_sample_id", "text_id", "reader", "role", "id"),
        CheckConstraint("role IN ('reader', 'adjudicator')", name="role"),
        CheckConstraint("cardinality(values) > 0", name="values"),
    )
    id: Mapped[Number]
    audit_sample_id: Mapped[str] = mapped_column(ForeignKey("audit_samples.id", ondelete="CASCADE"))
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"), index=True)
    text_version_id: Mapped[int] = mapped_column(BigInteger)
    reader: Mapped[str]
    role: Mapped[str]
    values: Mapped[list[int | None]] = mapped_column(ARRAY(SmallInteger))
    """In the order of `audit_samples.option_keys`: 1 yes, 0 no, 2 uncertain, 3 not applicable, NULL skipped (or, for an adjudicator, not asked)."""
    shown: Mapped[list[str]] = mapped_column(server_default="{}")
    """Cells of which this person had already been shown values or probabilities: not a blind reading of them."""
    note: Mapped[str] = mapped_column(server_default="")
    at: Mapped[Created]


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
