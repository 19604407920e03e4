"""Migrating equals creating, and what is append-only stays as written."""

from __future__ import annotations

import subprocess
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, PrimaryKeyConstraint, UniqueConstraint, create_engine

from app.db.session import sqlalchemy_url
from app.db.tables import Base
from app.db.tables.append_only import NEVER_TOUCHED, NEVER_UPDATED
from app.stack.binaries import installed_binaries


def schema_of(url: str) -> str:
    pg_dump = installed_binaries().postgres / "pg_dump"
    command = [str(pg_dump), "--schema-only", "--no-owner", "--exclude-table=alembic_version", url]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in dump.splitlines() if not line.startswith(("--", "\\")))


def test_migrating_gives_the_same_schema_as_creating(database: str, postgres_url: str) -> None:
    name = "created_" + uuid4().hex
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    head, _, query = postgres_url.partition("?")
    created = f"{head.rsplit('/', 1)[0]}/{name}?{query}"
    engine = create_engine(sqlalchemy_url(created))
    Base.metadata.create_all(engine)
    engine.dispose()
    assert sorted(schema_of(created).splitlines()) == sorted(schema_of(database).splitlines())


@pytest.mark.parametrize("table", [*NEVER_UPDATED, *NEVER_TOUCHED])
def test_append_only_tables_have_their_trigger(engine: Engine, table: str) -> None:
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_trigger WHERE tgname = 'append_only' AND tgrelid = %s::regclass",
            (table,),
        )
        assert found.scalar() == 1


def test_the_audit_log_cannot_be_rewritten(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO audit_log (actor, action) VALUES ('somebody', 'something')")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
            connection.execute("DELETE FROM audit_log")


def test_what_refers_to_bulk_rows_has_an_index() -> None:
    """Deleting a text must not look through every annotation, prediction and suspicion there is."""
    for table in Base.metadata.tables.values():
        leading = {next(iter(index.columns)).name for index in table.indexes}
        leading |= {
            next(iter(constraint.columns)).name
            for constraint in table.constraints
            if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint) and len(constraint.columns)
        }
        for key in table.foreign_keys:
            if key.column.table.name in {"texts", "text_versions", "disagreements"}:
                assert key.parent.name in leading, f"{table.name}.{key.parent.name}"
