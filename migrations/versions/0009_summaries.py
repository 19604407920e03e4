"""Summaries of corpora, by run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, default: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("'0'") if default else None)


def _document(name: str, *, nullable: bool = False) -> sa.Column[dict]:
    default = None if nullable else sa.text("'{}'")
    return sa.Column(name, JSONB(), nullable=nullable, server_default=default)


def _reference(table: str, column: str, target: str, ondelete: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"), ondelete=ondelete)


def upgrade() -> None:
    _runs()
    _summaries()


def _runs() -> None:
    op.create_table(
        "summary_runs",
        _text("id"),
        _text("job_id"),
        _text("corpus_id"),
        _text("adapter_id", nullable=True),
        _text("method"),
        _document("parameters"),
        _document("model"),
        sa.Column("text_version_ids", ARRAY(sa.BigInteger()), nullable=False),
        _number("text_count", default=False),
        _number("watermark"),
        _number("without"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _reference("summary_runs", "job_id", "jobs.id", "CASCADE"),
        _reference("summary_runs", "corpus_id", "corpora.id", "CASCADE"),
        _reference("summary_runs", "adapter_id", "adapters.id", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_summary_runs")),
        sa.UniqueConstraint("job_id", name=op.f("uq_summary_runs_job_id")),
    )
    op.create_index(op.f("ix_summary_runs_adapter_id"), "summary_runs", ["adapter_id"])
    op.create_index("ix_summary_runs_newest", "summary_runs", ["corpus_id", "created_at", "id"])


def _summaries() -> None:
    op.create_table(
        "summaries",
        _text("run_id"),
        sa.Column("text_version_id", sa.BigInteger(), nullable=False),
        _text("text", nullable=True),
        _number("words"),
        _number("words_in_text"),
        _text("strategy", nullable=True),
        sa.Column("supported_share", sa.REAL(), nullable=True),
        _document("faithfulness", nullable=True),
        _document("details"),
        _document("error", nullable=True),
        _reference("summaries", "run_id", "summary_runs.id", "CASCADE"),
        _reference("summaries", "text_version_id", "text_versions.id", "CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "text_version_id", name=op.f("pk_summaries")),
    )
    op.create_index(op.f("ix_summaries_text_version_id"), "summaries", ["text_version_id"])
    op.create_index("ix_summaries_supported", "summaries", ["run_id", "supported_share"])


def downgrade() -> None:
    op.drop_table("summaries")
    op.drop_table("summary_runs")
