"""Every score of a ranking, error probabilities and budget, decoys, findings; what a run keeps to be judged again.

Rankings made before stay as they were: their one score has no name here, and their texts have no pooled suspicion.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_REALS = ARRAY(sa.REAL())
_COLUMNS = {
    "relabel_runs": (("evidence_blob", sa.Text(), True, None),),
    "rankings": (
        ("score_names", ARRAY(sa.Text()), False, "{}"),
        ("decoy_cells", sa.Integer(), False, "0"),
        ("calibration", JSONB(), False, "{}"),
        ("budget", JSONB(), True, None),
    ),
    "suspicions": (
        ("scores", _REALS, False, "{}"),
        ("error_probability", _REALS, True, None),
        ("any_wrong", sa.REAL(), True, None),
        ("highest", sa.REAL(), True, None),
    ),
    "disagreements": (
        ("reason", sa.Text(), False, "flag"),
        ("scores", _REALS, False, "{}"),
        ("places", _REALS, True, None),
        ("error_probability", sa.REAL(), True, None),
    ),
}
_UNREAD = ("model_value", "probability", "suspicion")


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for name, kind, nullable, default in columns:
            op.add_column(table, sa.Column(name, kind, nullable=nullable, server_default=default))
    op.create_foreign_key(
        op.f("fk_relabel_runs_evidence_blob"), "relabel_runs", "blobs", ["evidence_blob"], ["digest"]
    )
    for name, column in (("any", "any_wrong"), ("highest", "highest")):
        op.create_index(
            f"ix_suspicions_{name}",
            "suspicions",
            ["ranking_id", sa.text(f"{column} DESC"), "text_version_id"],
        )
    op.create_check_constraint(
        op.f("ck_disagreements_reason"), "disagreements", "reason IN ('flag', 'decoy', 'finding')"
    )
    for name in _UNREAD:
        op.alter_column("disagreements", name, nullable=True)
    _findings()


def downgrade() -> None:
    """Cells that are in no queue, and decoys, cannot be told in the older form: they go."""
    op.drop_table("findings")
    op.execute("DELETE FROM disagreements WHERE reason <> 'flag'")
    for name in _UNREAD:
        op.alter_column("disagreements", name, nullable=False)
    op.drop_constraint(op.f("ck_disagreements_reason"), "disagreements", type_="check")
    for name in ("any", "highest"):
        op.drop_index(f"ix_suspicions_{name}", "suspicions")
    for table, columns in _COLUMNS.items():
        for name, _, _, _ in columns:
            op.drop_column(table, name)


def _findings() -> None:
    op.create_table(
        "findings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("ranking_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text_id", sa.BigInteger(), nullable=False),
        sa.Column("other_text_id", sa.BigInteger(), nullable=True),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("disagreements", ARRAY(sa.BigInteger()), nullable=False),
        sa.CheckConstraint("kind IN ('violation', 'conflict')", name=op.f("ck_findings_kind")),
        sa.CheckConstraint(
            "(kind = 'conflict') = (other_text_id IS NOT NULL)", name=op.f("ck_findings_other")
        ),
        *(
            sa.ForeignKeyConstraint(
                [column], [target], name=op.f(f"fk_findings_{column}"), ondelete="CASCADE"
            )
            for column, target in (
                ("ranking_id", "rankings.id"),
                ("text_id", "texts.id"),
                ("other_text_id", "texts.id"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
        sa.UniqueConstraint("ranking_id", "position", name=op.f("uq_findings_ranking_id_position")),
    )
    op.create_index("ix_findings_listing", "findings", ["ranking_id", "kind", "position"])
    for column in ("text_id", "other_text_id"):
        op.create_index(op.f(f"ix_findings_{column}"), "findings", [column])
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE ON findings FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
