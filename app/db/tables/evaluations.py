"""Evidence about adapters: evaluations, and the decisions of the promotion gate."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class Evaluation(Base):
    """What an evaluation job found; one row per job, written with its end."""

    __tablename__ = "evaluations"
    __table_args__ = (
        CheckConstraint("task IN ('classify', 'summarize', 'causal')", name="task"),
        CheckConstraint("(task = 'classify') = (snapshot_id IS NOT NULL)", name="snapshot"),
    )
    job_id: Mapped[Identifier] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id", ondelete="CASCADE"), index=True)
    """None: no adapter was evaluated, an untrained base model or extractive methods alone."""
    snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("label_snapshots.id", ondelete="CASCADE"))
    """Of the labels of a classification; None for other tasks."""
    task: Mapped[str] = mapped_column(server_default="classify")
    document_set_id: Mapped[str | None] = mapped_column(
        ForeignKey("document_sets.id", ondelete="SET NULL"), index=True
    )
    """Where its texts came from. With the set goes all that was written of them; the numbers stay."""
    items_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.digest"))
    """Arrow IPC: what was written of each item, and its scores (app/evaluations/items.py)."""
    document: Mapped[dict[str, Any]]
    created_at: Mapped[Created]


class GateDecision(Base):
    """Whether an adapter was promoted, by itself or by a person, with every check of the gate and its numbers."""

    __tablename__ = "gate_decisions"
    id: Mapped[Number]
    adapter_id: Mapped[str] = mapped_column(ForeignKey("adapters.id", ondelete="CASCADE"), index=True)
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    compared_id: Mapped[str | None]
    """The adapter that was promoted then; the id alone, it may be gone."""
    automatic: Mapped[bool]
    promoted: Mapped[bool]
    override: Mapped[bool]
    """Promoted by a person although a check failed."""
    actor: Mapped[str]
    reason: Mapped[str]
    checks: Mapped[list[Any]]
    at: Mapped[Created]
