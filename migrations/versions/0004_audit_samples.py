"""Audit samples as a service: what is read and by whom, readings, looks of a stopping plan.

No earlier version wrote an audit sample, so that columns without a sensible value for old rows need none.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHECKS = {
    "purpose": "purpose IN ('totals', 'stopping')",
    "readers": "readers IN (1, 2)",
    "state": "state IN ('reading', 'closed')",
    "closed": "(state = 'closed') = (closed_at IS NOT NULL)",
    "released": "released_at IS NULL OR closed_at IS NOT NULL",
    "look": "(purpose = 'stopping') = (plan_id IS NOT NULL AND look BETWEEN 1 AND looks_declared)",
}
_REFERENCES = (
    ("snapshot_id", "label_snapshots.id", "CASCADE"),
    ("run_id", "relabel_runs.id", "SET NULL"),
    ("ranking_id", "rankings.id", "SET NULL"),
    ("seal_blob", "blobs.digest", None),
    ("plan_id", "audit_samples.id", "CASCADE"),
)
_COLUMNS = (
    ("name", sa.Text(), False, None),
    ("purpose", sa.Text(), False, None),
    ("snapshot_id", sa.Text(), False, None),
    ("run_id", sa.Text(), True, None),
    ("ranking_id", sa.Text(), True, None),
    ("scheme_version", sa.Integer(), False, None),
    ("option_keys", ARRAY(sa.Text()), False, None),
    ("readers", sa.SmallInteger(), False, None),
    ("state", sa.Text(), False, "reading"),
    ("seal_blob", sa.Text(), False, None),
    ("plan_id", sa.Text(), True, None),
    ("look", sa.Integer(), True, None),
    ("closed_at", sa.DateTime(timezone=True), True, None),
    ("released_at", sa.DateTime(timezone=True), True, None),
)
_APPEND_ONLY = ("audit_looks", "audit_readings")


def upgrade() -> None:
    _samples()
    op.add_column("audit_sample_texts", sa.Column("text_version_id", sa.BigInteger(), nullable=False))
    _readings()
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.execute("DROP TRIGGER append_only ON audit_looks")
    op.drop_table("audit_readings")
    op.drop_column("audit_sample_texts", "text_version_id")
    for name in _CHECKS:
        op.drop_constraint(op.f(f"ck_audit_samples_{name}"), "audit_samples", type_="check")
    for name, _, _, _ in _COLUMNS:
        op.drop_column("audit_samples", name)


def _samples() -> None:
    for name, kind, nullable, default in _COLUMNS:
        op.add_column("audit_samples", sa.Column(name, kind, nullable=nullable, server_default=default))
    for name, condition in _CHECKS.items():
        op.create_check_constraint(op.f(f"ck_audit_samples_{name}"), "audit_samples", condition)
    for column, target, ondelete in _REFERENCES:
        table, key = target.split(".")
        op.create_foreign_key(
            op.f(f"fk_audit_samples_{column}"), "audit_samples", table, [column], [key], ondelete=ondelete
        )
    op.create_unique_constraint(
        op.f("uq_audit_samples_corpus_id_name"), "audit_samples", ["corpus_id", "name"]
    )
    op.create_unique_constraint(op.f("uq_audit_samples_plan_id_look"), "audit_samples", ["plan_id", "look"])


def _readings() -> None:
    op.create_table(
        "audit_readings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("audit_sample_id", sa.Text(), nullable=False),
        sa.Column("text_id", sa.BigInteger(), nullable=False),
        sa.Column("text_version_id", sa.BigInteger(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("values", ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("shown", ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('reader', 'adjudicator')", name=op.f("ck_audit_readings_role")),
        sa.CheckConstraint("cardinality(values) > 0", name=op.f("ck_audit_readings_values")),
        sa.ForeignKeyConstraint(
            ["audit_sample_id"],
            ["audit_samples.id"],
            name=op.f("fk_audit_readings_audit_sample_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["text_id"], ["texts.id"], name=op.f("fk_audit_readings_text_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_readings")),
    )
    op.create_index(op.f("ix_audit_readings_text_id"), "audit_readings", ["text_id"])
    op.create_index(
        "ix_audit_readings_sample", "audit_readings", ["audit_sample_id", "text_id", "reader", "role", "id"]
    )
