"""Estimates for the paper, with their replication packages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_REFERENCES = (
    ("job_id", "jobs.id", "CASCADE"),
    ("corpus_id", "corpora.id", "CASCADE"),
    ("audit_sample_id", "audit_samples.id", "CASCADE"),
    ("run_id", "relabel_runs.id", "SET NULL"),
    ("package_blob", "blobs.digest", None),
)


def upgrade() -> None:
    op.create_table(
        "estimates",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("corpus_id", sa.Text(), nullable=False),
        sa.Column("audit_sample_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("package_blob", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column], [target], name=op.f(f"fk_estimates_{column}"), ondelete=ondelete
            )
            for column, target, ondelete in _REFERENCES
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_estimates")),
    )
    for column in ("corpus_id", "audit_sample_id"):
        op.create_index(op.f(f"ix_estimates_{column}"), "estimates", [column])


def downgrade() -> None:
    op.drop_table("estimates")
