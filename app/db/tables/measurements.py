"""How fast and in how much memory a trainer's machine trains a base model: what estimates rest on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Number


class Measurement(Base):
    """A short measurement: a few training steps of a real base model on a few real texts' lengths, where trainers run."""

    __tablename__ = "measurements"
    __table_args__ = (
        CheckConstraint("tokens_per_second > 0 AND trunk_tokens_per_second > 0", name="speed"),
        Index("ix_measurements_newest", "corpus_id", "base_model", "at"),
    )
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    at: Mapped[Created]
    host: Mapped[str]
    device: Mapped[str]
    """`cpu`, or the name of a GPU."""
    base_model: Mapped[str]
    method: Mapped[str]
    trained_layers: Mapped[int]
    max_tokens: Mapped[int]
    tokens_per_second: Mapped[float]
    """Of training steps, forward and backward."""
    trunk_tokens_per_second: Mapped[float]
    """Of the frozen layers, read once; for generative tasks of held-out documents, which are only read."""
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    """Most that the process took while it measured."""
    asked: Mapped[dict[str, Any]]
    """What was asked for; a later request for the same may use this row."""
    versions: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]]
    """`models.training.estimate.Measured`, or `models.generative.estimate.GenerativeMeasured`, as JSON."""
