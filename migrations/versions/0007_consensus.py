"""Several annotators: how their consensus is found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (("corpora", "consensus"), ("label_snapshots", "consensus_method")):
        op.add_column(
            table, sa.Column(column, sa.Text(), server_default=sa.text("'majority'"), nullable=False)
        )
    op.create_check_constraint(
        op.f("ck_corpora_consensus"), "corpora", "consensus IN ('majority', 'dawid_skene', 'model_aware')"
    )
    op.add_column(
        "label_snapshots",
        sa.Column("consensus_parameters", JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("label_snapshots", "consensus_parameters")
    op.drop_column("label_snapshots", "consensus_method")
    op.drop_constraint(op.f("ck_corpora_consensus"), "corpora", type_="check")
    op.drop_column("corpora", "consensus")
