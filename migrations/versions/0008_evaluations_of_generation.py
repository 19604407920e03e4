"""Evaluations of summaries and of causal models: no label snapshot, and a file of what was written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "evaluations", sa.Column("task", sa.Text(), server_default=sa.text("'classify'"), nullable=False)
    )
    op.add_column("evaluations", sa.Column("document_set_id", sa.Text(), nullable=True))
    op.add_column("evaluations", sa.Column("items_blob", sa.Text(), nullable=True))
    op.alter_column("evaluations", "snapshot_id", nullable=True)
    op.create_foreign_key(
        op.f("fk_evaluations_document_set_id"), "evaluations", "document_sets", ["document_set_id"], ["id"],
        ondelete="SET NULL",
    )  # fmt: skip
    op.create_foreign_key(
        op.f("fk_evaluations_items_blob"), "evaluations", "blobs", ["items_blob"], ["digest"]
    )
    op.create_index(op.f("ix_evaluations_document_set_id"), "evaluations", ["document_set_id"])
    op.create_check_constraint(
        op.f("ck_evaluations_task"), "evaluations", "task IN ('classify', 'summarize', 'causal')"
    )
    op.create_check_constraint(
        op.f("ck_evaluations_snapshot"), "evaluations", "(task = 'classify') = (snapshot_id IS NOT NULL)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM evaluations WHERE task <> 'classify'")
    op.drop_constraint(op.f("ck_evaluations_snapshot"), "evaluations", type_="check")
    op.drop_constraint(op.f("ck_evaluations_task"), "evaluations", type_="check")
    op.drop_index(op.f("ix_evaluations_document_set_id"), "evaluations")
    op.drop_constraint(op.f("fk_evaluations_items_blob"), "evaluations", type_="foreignkey")
    op.drop_constraint(op.f("fk_evaluations_document_set_id"), "evaluations", type_="foreignkey")
    op.alter_column("evaluations", "snapshot_id", nullable=False)
    for column in ("items_blob", "document_set_id", "task"):
        op.drop_column("evaluations", column)
