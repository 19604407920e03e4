"""Relabel runs, predictions, rankings and disagreements."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, ForeignKey, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class RelabelRun(Base):
    """One reading of the whole corpus by an adapter. The list of text versions is frozen at the start (`texts_blob`)."""

    __tablename__ = "relabel_runs"
    id: Mapped[Identifier]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    adapter_id: Mapped[str] = mapped_column(ForeignKey("adapters.id"))
    snapshot_id: Mapped[str] = mapped_column(ForeignKey("label_snapshots.id"))
    scheme_version: Mapped[int]
    option_keys: Mapped[list[str]]
    texts_blob: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    """Arrow IPC: text_version_id, text_id, external_id, sha256, group; row order is prediction order."""
    embeddings_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.digest"))
    """float16 (texts, dimensions) .npy in the same order."""
    text_count: Mapped[int]
    watermark: Mapped[int] = mapped_column(server_default="0")
    """Texts done; written with each chunk in one transaction."""
    not_audited: Mapped[int] = mapped_column(server_default="0")
    """Texts that every fold model had seen: predicted, counted, not audited."""
    finished_at: Mapped[datetime | None]
    created_at: Mapped[Created]


class Prediction(Base):
    """Calibrated probabilities for one text version, in the run's option order."""

    __tablename__ = "predictions"
    run_id: Mapped[str] = mapped_column(ForeignKey("relabel_runs.id", ondelete="CASCADE"), primary_key=True)
    text_version_id: Mapped[int] = mapped_column(
        ForeignKey("text_versions.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    probabilities: Mapped[list[float]]
    held_out: Mapped[bool]
    models: Mapped[int] = mapped_column(SmallInteger)
    """How many models the mean is over."""


class Ranking(Base):
    """Immutable ordering of a run's cells by suspicion; refitting makes a new one. `cells` gives the order of suspicion arrays."""

    __tablename__ = "rankings"
    __table_args__ = (Index("ix_rankings_newest", "corpus_id", "created_at"),)
    id: Mapped[Identifier]
    run_id: Mapped[str] = mapped_column(ForeignKey("relabel_runs.id", ondelete="CASCADE"))
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    snapshot_id: Mapped[str] = mapped_column(ForeignKey("label_snapshots.id"))
    method: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    cells: Mapped[list[Any]]
    """[[question key, option key or null], …]."""
    audited_cells: Mapped[int]
    flagged_cells: Mapped[int]
    created_at: Mapped[Created]


class Suspicion(Base):
    """Suspicion of every audited cell of one text in a ranking; NaN where a cell is not audited."""

    __tablename__ = "suspicions"
    ranking_id: Mapped[str] = mapped_column(ForeignKey("rankings.id", ondelete="CASCADE"), primary_key=True)
    text_version_id: Mapped[int] = mapped_column(
        ForeignKey("text_versions.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    suspicion: Mapped[list[float]]


class Disagreement(Base):
    """A flagged cell of a ranking. `position` counts from 1 by falling suspicion and is what cursors walk.

    Values are `yes`, `no` or an option key; `probability` is that of the human value being yes (yes_no_set) or of the human option (choose_one).
    """

    __tablename__ = "disagreements"
    __table_args__ = (
        UniqueConstraint("ranking_id", "position"),
        UniqueConstraint(
            "ranking_id", "text_id", "question_id", "option_id", postgresql_nulls_not_distinct=True
        ),
        Index("ix_disagreements_cell", "text_id", "question_id", "option_id"),
    )
    id: Mapped[Number]
    ranking_id: Mapped[str] = mapped_column(ForeignKey("rankings.id", ondelete="CASCADE"))
    position: Mapped[int]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    text_version_id: Mapped[int] = mapped_column(BigInteger)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    option_id: Mapped[int | None] = mapped_column(ForeignKey("options.id", ondelete="CASCADE"))
    human_value: Mapped[str]
    model_value: Mapped[str]
    probability: Mapped[float] = mapped_column(REAL)
    suspicion: Mapped[float] = mapped_column(REAL)
