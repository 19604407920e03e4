"""Training at scale: searches and their trials, evaluations, measurements of speed and memory, pausing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _pausing()
    _measurements()
    _searches()
    _samples()
    _evaluations()
    _documents()


def downgrade() -> None:
    op.drop_table("document_files")
    op.drop_table("document_sets")
    op.drop_table("gate_decisions")
    op.drop_table("evaluations")
    _plain_samples()
    op.drop_table("job_parts")
    op.drop_table("measurements")
    _no_pausing()


_STATES = "state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')"
_STATES_BEFORE = "state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')"


def _pausing() -> None:
    """The state `paused`, and the wish for it."""
    op.add_column(
        "jobs", sa.Column("pause_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    _check_state(_STATES)


def _no_pausing() -> None:
    """Paused jobs are queued again: what cannot wait goes on."""
    op.execute("UPDATE jobs SET state = 'queued' WHERE state = 'paused'")
    _check_state(_STATES_BEFORE)
    op.drop_column("jobs", "pause_requested")


def _check_state(condition: str) -> None:
    op.drop_constraint(op.f("ck_jobs_state"), "jobs", type_="check")
    op.create_check_constraint(op.f("ck_jobs_state"), "jobs", condition)


def _measurements() -> None:
    """How fast and in how much memory a trainer's machine trains a base model."""
    op.create_table(
        "measurements",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("host", "device", "base_model", "method")),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("trained_layers", "max_tokens")),
        *(
            sa.Column(name, sa.Float(), nullable=False)
            for name in ("tokens_per_second", "trunk_tokens_per_second")
        ),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        *(sa.Column(name, JSONB(), nullable=False) for name in ("asked", "versions", "details")),
        sa.CheckConstraint(
            "tokens_per_second > 0 AND trunk_tokens_per_second > 0", name=op.f("ck_measurements_speed")
        ),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_measurements_corpus_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_measurements_job_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measurements")),
    )
    op.create_index("ix_measurements_newest", "measurements", ["corpus_id", "base_model", "at"])
    op.create_index(op.f("ix_measurements_job_id"), "measurements", ["job_id"])


def _searches() -> None:
    """Jobs that a search made. Optuna's own tables live in the schema `optuna`, which the first search makes."""
    op.create_table(
        "job_parts",
        sa.Column("parent_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('trial', 'refit')", name=op.f("ck_job_parts_role")),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["jobs.id"], name=op.f("fk_job_parts_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_parts_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("parent_id", "role", "number", name=op.f("pk_job_parts")),
        sa.UniqueConstraint("job_id", name=op.f("uq_job_parts_job_id")),
    )


def _samples() -> None:
    """Samples as jobs draw them: exact probabilities (none for picks), strata, frame, request, and where they came from."""
    op.alter_column("samples", "inclusion", type_=ARRAY(sa.Double()))
    op.add_column("samples", sa.Column("strata", ARRAY(sa.Integer()), nullable=True))
    op.add_column("samples", sa.Column("frame_size", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE samples SET frame_size = coalesce((report ->> 'frame')::integer, cardinality(text_ids))"
    )
    op.alter_column("samples", "frame_size", nullable=False)
    op.add_column("samples", sa.Column("spec", JSONB(), server_default="{}", nullable=False))
    for name, target in (("snapshot_id", "label_snapshots"), ("job_id", "jobs")):
        op.add_column("samples", sa.Column(name, sa.Text(), nullable=True))
        op.create_foreign_key(
            op.f(f"fk_samples_{name}"), "samples", target, [name], ["id"], ondelete="SET NULL"
        )
    op.create_unique_constraint(op.f("uq_samples_job_id"), "samples", ["job_id"])
    op.create_index("ix_samples_listing", "samples", ["corpus_id", "created_at", "id"])


def _plain_samples() -> None:
    """Samples with picks cannot be told in the older form: they go."""
    op.execute("DELETE FROM samples WHERE array_position(inclusion, NULL) IS NOT NULL")
    op.drop_index("ix_samples_listing", "samples")
    for name in ("job_id", "snapshot_id", "spec", "frame_size", "strata"):
        op.drop_column("samples", name)
    op.alter_column("samples", "inclusion", type_=ARRAY(sa.REAL()))


def _evaluations() -> None:
    """What evaluation jobs found, and what the promotion gate and people decided."""
    op.create_table(
        "evaluations",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("adapter_id", sa.Text(), nullable=True),
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column], [target], name=op.f(f"fk_evaluations_{column}"), ondelete="CASCADE"
            )
            for column, target in (
                ("job_id", "jobs.id"),
                ("corpus_id", "corpora.id"),
                ("adapter_id", "adapters.id"),
                ("snapshot_id", "label_snapshots.id"),
            )
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_evaluations")),
    )
    op.create_table(
        "gate_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("adapter_id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("compared_id", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("automatic", "promoted", "override")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("actor", "reason")),
        sa.Column("checks", JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column], [target], name=op.f(f"fk_gate_decisions_{column}"), ondelete="CASCADE"
            )
            for column, target in (("adapter_id", "adapters.id"), ("corpus_id", "corpora.id"))
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gate_decisions")),
    )
    for table in ("evaluations", "gate_decisions"):
        for column in ("corpus_id", "adapter_id"):
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def _documents() -> None:
    """Document sets and their files."""
    op.create_table(
        "document_sets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_document_sets_corpus_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_document_sets_job_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document_sets")),
    )
    op.create_index(op.f("ix_document_sets_corpus_id"), "document_sets", ["corpus_id"])
    op.create_index("ix_document_sets_listing", "document_sets", ["created_at", "id"])
    op.create_table(
        "document_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("set_id", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("source_blob", sa.Text(), nullable=False),
        sa.Column("inside", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("status", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("kind", "code", "detail", "text_blob")),
        *(sa.Column(name, sa.Integer(), nullable=True) for name in ("pages", "row_count")),
        sa.Column("characters", sa.BigInteger(), nullable=True),
        sa.Column("warnings", JSONB(), server_default="[]", nullable=False),
        sa.CheckConstraint(
            "status IN ('waiting', 'read', 'refused', 'unpacked')", name=op.f("ck_document_files_status")
        ),
        sa.CheckConstraint("kind IN ('document', 'rows', 'archive')", name=op.f("ck_document_files_kind")),
        sa.CheckConstraint(
            "(status = 'read') = (text_blob IS NOT NULL)", name=op.f("ck_document_files_text")
        ),
        sa.CheckConstraint(
            "(status = 'refused') = (code IS NOT NULL)", name=op.f("ck_document_files_refusal")
        ),
        sa.ForeignKeyConstraint(
            ["set_id"], ["document_sets.id"], name=op.f("fk_document_files_set_id"), ondelete="CASCADE"
        ),
        *(
            sa.ForeignKeyConstraint([column], ["blobs.digest"], name=op.f(f"fk_document_files_{column}"))
            for column in ("source_blob", "text_blob")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document_files")),
    )
    op.create_index(op.f("ix_document_files_set_id"), "document_files", ["set_id"])
