"""Relabel runs, predictions, rankings and disagreements."""

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
    evidence_blob: Mapped[str | None] = mapped_column(ForeignKey("blobs.digest"))
    """.npz: what judging the labels again needs of the texts (`workers.relabel.evidence.Kept`), so that no text is read anew."""


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
    score_names: Mapped[list[str]] = mapped_column(server_default="{}")
    """Every score that is kept, in the order of `scores`; the one that orders the ranking first."""
    audited_cells: Mapped[int]
    flagged_cells: Mapped[int]
    decoy_cells: Mapped[int] = mapped_column(server_default="0")
    """Cells of the queue that were not flagged: mixed in so that readers cannot count on a flag."""
    calibration: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """{"calibrated": true, coefficients …} or {"calibrated": false, "reason": …}: what closed audit samples say of suspicion."""
    created_at: Mapped[Created]
    budget: Mapped[dict[str, Any] | None]
    """What reviewing the top K would find: {"reviewed", "found", "low", "high": lists}; null until calibrated."""


class Suspicion(Base):
    """Suspicion of every audited cell of one text in a ranking; NaN where a cell is not audited."""

    __tablename__ = "suspicions"
    __table_args__ = (
        Index("ix_suspicions_any", "ranking_id", text("any_wrong DESC"), "text_version_id"),
        Index("ix_suspicions_highest", "ranking_id", text("highest DESC"), "text_version_id"),
    )
    ranking_id: Mapped[str] = mapped_column(ForeignKey("rankings.id", ondelete="CASCADE"), primary_key=True)
    text_version_id: Mapped[int] = mapped_column(
        ForeignKey("text_versions.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    suspicion: Mapped[list[float]]
    scores: Mapped[list[float]] = mapped_column(server_default="{}")
    """Every score by `Ranking.score_names`, each over all cells: (scores, cells) flattened."""
    error_probability: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """Of every cell; null until an audit sample calibrates."""
    any_wrong: Mapped[float | None] = mapped_column(REAL)
    """Noisy-or over the text's cells, their odds damped (`models.audit.ranking.text_scores`)."""
    highest: Mapped[float | None] = mapped_column(REAL)
    """Of the text's most suspicious cell."""


class Disagreement(Base):
    """A cell of a ranking that a person may decide. `position` counts from 1 and is what cursors walk.

    Values are `yes`, `no` or an option key; `probability` is that of the human value being yes (yes_no_set) or of the human option (choose_one).
    First come the cells of the queue: flagged ones by falling suspicion, decoys anywhere among them. After these the cells
    that findings name and that are in the queue for nothing else: they have no place in it.
    """

    __tablename__ = "disagreements"
    __table_args__ = (
        UniqueConstraint("ranking_id", "position"),
        UniqueConstraint(
            "ranking_id", "text_id", "question_id", "option_id", postgresql_nulls_not_distinct=True
        ),
        Index("ix_disagreements_cell", "text_id", "question_id", "option_id"),
        CheckConstraint("reason IN ('flag', 'decoy', 'finding')", name="reason"),
    )
    id: Mapped[Number]
    ranking_id: Mapped[str] = mapped_column(ForeignKey("rankings.id", ondelete="CASCADE"))
    position: Mapped[int]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    text_version_id: Mapped[int] = mapped_column(BigInteger)
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    option_id: Mapped[int | None] = mapped_column(ForeignKey("options.id", ondelete="CASCADE"))
    reason: Mapped[str] = mapped_column(server_default="flag")
    """`flag`, `decoy` or `finding`; hidden from whoever reads blind."""
    human_value: Mapped[str]
    model_value: Mapped[str | None]
    """This, `probability` and `suspicion` are null where no model read the text unseen."""
    probability: Mapped[float | None] = mapped_column(REAL)
    suspicion: Mapped[float | None] = mapped_column(REAL)
    scores: Mapped[list[float]] = mapped_column(server_default="{}")
    """By `Ranking.score_names`."""
    places: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    """Of a decoy: the scores by which it is placed, each borrowed from a flagged cell, so that no order gives it away."""
    error_probability: Mapped[float | None] = mapped_column(REAL)


class Finding(Base):
    """Something wrong with labels that no model is needed for: a broken dependency, or duplicates labelled differently.

    `disagreements` are the cells of it that a person can decide.
    """

    __tablename__ = "findings"
    __table_args__ = (
        UniqueConstraint("ranking_id", "position"),
        Index("ix_findings_listing", "ranking_id", "kind", "position"),
        CheckConstraint("kind IN ('violation', 'conflict')", name="kind"),
        CheckConstraint("(kind = 'conflict') = (other_text_id IS NOT NULL)", name="other"),
    )
    id: Mapped[Number]
    ranking_id: Mapped[str] = mapped_column(ForeignKey("rankings.id", ondelete="CASCADE"))
    position: Mapped[int]
    kind: Mapped[str]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"), index=True)
    other_text_id: Mapped[int | None] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"), index=True)
    detail: Mapped[dict[str, Any]]
    """violation: {"option", "needs_any"}; conflict: {"likeness": "exact" or "near"}."""
    disagreements: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
