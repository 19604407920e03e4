"""Indexes behind the foreign keys of bulk tables: without them, deleting a text looks through every row that might refer to it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INDEXES = (
    ("texts", "current_version_id"),
    ("annotations", "text_version_id"),
    ("predictions", "text_version_id"),
    ("suspicions", "text_version_id"),
    ("audit_sample_texts", "text_id"),
)


def upgrade() -> None:
    for table, column in _INDEXES:
        op.create_index(f"ix_{table}_{column}", table, [column])


def downgrade() -> None:
    for table, column in _INDEXES:
        op.drop_index(f"ix_{table}_{column}", table)
