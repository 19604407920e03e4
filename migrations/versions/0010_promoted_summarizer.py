"""The adapter that summarizes for a corpus by default."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corpora", sa.Column("promoted_summarizer_id", sa.Text(), nullable=True))
    op.create_foreign_key(
        "fk_corpora_promoted_summarizer_id",
        "corpora",
        "adapters",
        ["promoted_summarizer_id"],
        ["id"],
        ondelete="SET NULL",
    )


def downgrade() -> None:
    op.drop_constraint("fk_corpora_promoted_summarizer_id", "corpora", type_="foreignkey")
    op.drop_column("corpora", "promoted_summarizer_id")
