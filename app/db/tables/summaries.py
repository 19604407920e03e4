"""Summaries of a corpus's texts, by run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, ForeignKey, Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier


class SummaryRun(Base):
    """One pass over a corpus's texts by one method. The list of text versions is frozen at the start."""

    __tablename__ = "summary_runs"
    __table_args__ = (Index("ix_summary_runs_newest", "corpus_id", "created_at", "id"),)
    id: Mapped[Identifier]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id", ondelete="SET NULL"), index=True)
    method: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """The request: length, style, strategy, decoding, floor, models by name."""
    model: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """Of an abstractive run: name, sha256 and family of the base model, digest of the adapter's manifest, as the worker that wrote said."""
    text_version_ids: Mapped[Any] = mapped_column(ARRAY(BigInteger), deferred=True)
    """As many as the corpus has texts: read when it is asked for, not with every chunk and every list of runs."""
    text_count: Mapped[int]
    watermark: Mapped[int] = mapped_column(server_default="0")
    """Texts done; written with each chunk in one transaction."""
    without: Mapped[int] = mapped_column(server_default="0")
    """Texts that have no summary: refused below the floor, or not to be summarized."""
    finished_at: Mapped[datetime | None]
    created_at: Mapped[Created]


class Summary(Base):
    """The summary of one text version in a run, or why there is none."""

    __tablename__ = "summaries"
    __table_args__ = (Index("ix_summaries_supported", "run_id", "supported_share"),)
    run_id: Mapped[str] = mapped_column(ForeignKey("summary_runs.id", ondelete="CASCADE"), primary_key=True)
    text_version_id: Mapped[int] = mapped_column(
        ForeignKey("text_versions.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    text: Mapped[str | None]
    """Null where there is none: `error` says why."""
    words: Mapped[int] = mapped_column(server_default="0")
    words_in_text: Mapped[int] = mapped_column(server_default="0")
    strategy: Mapped[str | None]
    """`extractive`, `whole`, `extract_then_abstract` or `chunk_and_merge`."""
    supported_share: Mapped[float | None] = mapped_column(REAL)
    faithfulness: Mapped[dict[str, Any] | None]
    """Of abstractive summaries: `models.text.faithfulness.Faithfulness.to_document`."""
    details: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """sentences (offsets in the text) of extractive summaries; chunks, calls and the like of abstractive ones; warnings."""
    error: Mapped[dict[str, Any] | None]
    """{"code", "detail"} where there is no summary."""
