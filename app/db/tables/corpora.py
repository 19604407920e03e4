"""Corpora: schemes, texts and their versions, annotations, label snapshots, blobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class Blob(Base):
    """A content-addressed file in the blob store."""

    __tablename__ = "blobs"
    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    media_type: Mapped[str]
    purpose: Mapped[str]
    created_at: Mapped[Created]


class Corpus(Base):
    """A named collection of texts with one scheme."""

    __tablename__ = "corpora"
    __table_args__ = (
        CheckConstraint("consensus IN ('majority', 'dawid_skene', 'model_aware')", name="consensus"),
    )
    id: Mapped[Identifier]
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default="")
    sensitive: Mapped[bool] = mapped_column(server_default=text("false"))
    synthetic: Mapped[bool] = mapped_column(server_default=text("false"))
    fold_group: Mapped[str | None]
    """The grouping key that folds are split by; None: every text is its own group."""
    promoted_adapter_id: Mapped[str | None] = mapped_column(
        ForeignKey("adapters.id", use_alter=True, ondelete="SET NULL")
    )
    etag: Mapped[int] = mapped_column(BigInteger, server_default="1")
    created_at: Mapped[Created]
    consensus: Mapped[str] = mapped_column(server_default="majority")
    """How annotators who differ are brought together: `majority`, `dawid_skene`, `model_aware`."""
    promoted_summarizer_id: Mapped[str | None] = mapped_column(
        ForeignKey("adapters.id", use_alter=True, ondelete="SET NULL")
    )
    """The adapter of the task summarize that writes for it by default; `promoted_adapter_id` classifies."""


class SchemeVersion(Base):
    """A version of the codebook; `document` is `models.scheme.Scheme.to_document()`."""

    __tablename__ = "scheme_versions"
    __table_args__ = (UniqueConstraint("corpus_id", "version"),)
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    version: Mapped[int]
    document: Mapped[dict[str, Any]]
    digest: Mapped[str]
    created_at: Mapped[Created]


class Question(Base):
    """A question of a corpus; its options keep their positions over all scheme versions."""

    __tablename__ = "questions"
    __table_args__ = (
        UniqueConstraint("corpus_id", "key"),
        CheckConstraint("kind IN ('yes_no_set', 'choose_one')", name="kind"),
    )
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    key: Mapped[str]
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(server_default="")


class Option(Base):
    """An option (label). `position` is its place in every array of the corpus and is only ever appended."""

    __tablename__ = "options"
    __table_args__ = (UniqueConstraint("corpus_id", "key"), UniqueConstraint("corpus_id", "position"))
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"), index=True)
    key: Mapped[str]
    position: Mapped[int] = mapped_column(SmallInteger)
    name: Mapped[str] = mapped_column(server_default="")
    definition: Mapped[str] = mapped_column(server_default="")
    retired: Mapped[bool] = mapped_column(server_default=text("false"))


class Text(Base):
    """A text by its external id; its content lives in versions."""

    __tablename__ = "texts"
    __table_args__ = (
        UniqueConstraint("corpus_id", "external_id"),
        Index("ix_texts_metadata", "metadata", postgresql_using="gin"),
        Index("ix_texts_groups", "groups", postgresql_using="gin"),
    )
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    external_id: Mapped[str]
    current_version_id: Mapped[int | None] = mapped_column(
        ForeignKey("text_versions.id", use_alter=True, deferrable=True, initially="DEFERRED"), index=True
    )
    given_split: Mapped[str | None]
    groups: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", server_default="{}")
    ordinal: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Order of the text in its file: neighbours within a group stand beside each other."""
    created_at: Mapped[Created]


class TextVersion(Base):
    """One version of a text's content; immutable."""

    __tablename__ = "text_versions"
    __table_args__ = (UniqueConstraint("text_id", "version"), Index("ix_text_versions_sha256", "sha256"))
    id: Mapped[Number]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    version: Mapped[int]
    content: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the normalised content, `models.data.near_duplicates.content_sha256`: equal for exact duplicates."""
    job_id: Mapped[str | None]
    created_at: Mapped[Created]


class Annotator(Base):
    """A person (or a merged label source) who annotated texts of a corpus."""

    __tablename__ = "annotators"
    __table_args__ = (UniqueConstraint("corpus_id", "name"),)
    id: Mapped[Number]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    name: Mapped[str]


class Annotation(Base):
    """One annotator's values for one question of one text on one occasion; append-only.

    `values` holds a code per option of the question, in the order of their positions: 1 yes, 0 no, 2 uncertain, 3 not applicable, NULL missing.
    A choose_one answer is one 1 among 0s. The newest occasion (`annotated_at`, then `id`) of an annotator under a codebook version is in force.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        Index("ix_annotations_natural", "text_id", "question_id", "annotator_id", "codebook_version"),
        CheckConstraint("cardinality(values) > 0", name="values"),
    )
    id: Mapped[Number]
    text_id: Mapped[int] = mapped_column(ForeignKey("texts.id", ondelete="CASCADE"))
    text_version_id: Mapped[int] = mapped_column(
        ForeignKey("text_versions.id", ondelete="CASCADE"), index=True
    )
    question_id: Mapped[int] = mapped_column(ForeignKey("questions.id", ondelete="CASCADE"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotators.id"))
    team: Mapped[str | None]
    codebook_version: Mapped[str] = mapped_column(server_default="")
    annotated_at: Mapped[datetime | None]
    source: Mapped[str]
    """What it came from: `import:job_…`."""
    values: Mapped[list[int]]
    created_at: Mapped[Created]


class LabelSnapshot(Base):
    """Immutable, content-addressed freeze of the consensus and of the text versions it speaks of.

    The blob is Arrow IPC: text_id i64, text_version_id i64, external_id, sha256 (hex), group, split, ordinal, values list<i8> (options).
    """

    __tablename__ = "label_snapshots"
    __table_args__ = (UniqueConstraint("corpus_id", "digest"),)
    id: Mapped[Identifier]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    digest: Mapped[str]
    blob_digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"))
    scheme_version: Mapped[int]
    text_count: Mapped[int]
    cell_count: Mapped[int]
    ties: Mapped[list[Any]] = mapped_column(server_default="[]")
    """Cells that are missing because annotators tie: [[text_id, option key], …] (the first thousand)."""
    tie_count: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[Created]
    consensus_method: Mapped[str] = mapped_column(server_default="majority")
    """By which annotators who differ were brought together."""
    consensus_parameters: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """With what, so that it can be done again: the method asked for, the run whose probabilities were used, priors, fits."""


class Sample(Base):
    """A recorded sample of texts for training or labelling, with its inclusion probabilities. The three arrays are parallel."""

    __tablename__ = "samples"
    __table_args__ = (Index("ix_samples_listing", "corpus_id", "created_at", "id"),)
    id: Mapped[Identifier]
    corpus_id: Mapped[str] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    method: Mapped[str]
    """The strategy: `stratified`, `random`, `uncertainty`, `diversity`, `uncertain_diverse`."""
    seed: Mapped[int] = mapped_column(BigInteger)
    text_ids: Mapped[Any] = mapped_column(ARRAY(BigInteger))
    inclusion: Mapped[Any] = mapped_column(ARRAY(Double))
    """π of each text by the design; NULL where it was picked for its score: no chance was involved."""
    report: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[Created]
    strata: Mapped[Any] = mapped_column(ARRAY(Integer), nullable=True)
    """Stratum of each text, its place in `report.strata`; NULL where the design has none."""
    frame_size: Mapped[int]
    """Texts it was drawn from."""
    spec: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    """The request, as it was sent."""
    snapshot_id: Mapped[str | None] = mapped_column(ForeignKey("label_snapshots.id", ondelete="SET NULL"))
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), unique=True)
