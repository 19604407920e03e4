"""Adapters: what train jobs make."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier


class Adapter(Base):
    """A registered adapter; the blob is an uncompressed tar of the adapter folder, `digest` that of its manifest."""

    __tablename__ = "adapters"
    __table_args__ = (
        UniqueConstraint("corpus_id", "digest", postgresql_nulls_not_distinct=True),
        CheckConstraint("task IN ('classify', 'summarize', 'causal')", name="task"),
        Index("ix_adapters_listing", "created_at", "id"),
    )
    id: Mapped[Identifier]
    corpus_id: Mapped[str | None] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("label_snapshots.id"))
    task: Mapped[str]
    name: Mapped[str]
    base_model: Mapped[str]
    option_keys: Mapped[list[str]]
    digest: Mapped[str]
    blob_digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    manifest: Mapped[dict[str, Any]]
    report: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    beats_baselines: Mapped[bool] = mapped_column(server_default=text("false"))
    origin: Mapped[str] = mapped_column(server_default="train")
    """`train` or `import`."""
    promoted_at: Mapped[datetime | None]
    created_by: Mapped[str | None]
    created_at: Mapped[Created]
