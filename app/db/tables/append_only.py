"""Rows that are never changed: the database itself refuses, whatever the code says."""

from __future__ import annotations

from sqlalchemy import DDL, event

from app.db.tables.base import Base

NEVER_UPDATED = (
    "annotations",
    "audit_looks",
    "audit_readings",
    "disagreements",
    "findings",
    "job_events",
    "label_snapshots",
    "rankings",
    "reviews",
    "scheme_versions",
    "suspicions",
    "text_versions",
)
"""Written once; deleted only together with their corpus."""
NEVER_TOUCHED = ("audit_log",)
"""Written once, never deleted."""

FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""


def trigger(table: str, operations: str) -> str:
    """SQL of the trigger that refuses `operations` ("UPDATE" or "UPDATE OR DELETE") on a table."""
    return f"CREATE TRIGGER append_only BEFORE {operations} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"


def statements() -> tuple[str, ...]:
    """Every statement, in order; the founding migration runs the same ones."""
    return (
        FUNCTION,
        *(trigger(table, "UPDATE") for table in NEVER_UPDATED),
        *(trigger(table, "UPDATE OR DELETE") for table in NEVER_TOUCHED),
    )


for _statement in statements():
    event.listen(Base.metadata, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
