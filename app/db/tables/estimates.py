"""Estimates for the paper."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier


class Estimates(Base):
    """What an estimates job found, with its replication package; one row per job, written with its end."""

    __tablename__ = "estimates"
    job_id: Mapped[Identifier] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    audit_sample_id: Mapped[str] = mapped_column(
        ForeignKey("audit_samples.id", ondelete="CASCADE"), index=True
    )
    run_id: Mapped[str | None] = mapped_column(ForeignKey("relabel_runs.id", ondelete="SET NULL"))
    document: Mapped[dict[str, Any]]
    package_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    """The replication package: a zip without text."""
    created_at: Mapped[Created]
