"""Migrating equals creating, and what is append-only stays as written."""

from __future__ import annotations

import subprocess
from uuid import uuid4

import psycopg
import pytest
from alembic import command
from sqlalchemy import Engine, PrimaryKeyConstraint, UniqueConstraint, create_engine

from app.db.migrate import _config, upgrade
from app.db.session import engine_for, sqlalchemy_url
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


BEFORE_SCORES = """
    INSERT INTO blobs (digest, size, media_type, purpose) VALUES ('b', 1, 'x', 'test');
    INSERT INTO corpora (id, name) VALUES ('cor_1', 'letters');
    INSERT INTO questions (corpus_id, key, kind) VALUES ('cor_1', 'q', 'yes_no_set');
    INSERT INTO texts (corpus_id, external_id) VALUES ('cor_1', 'letter-1');
    INSERT INTO text_versions (text_id, version, content, sha256) SELECT id, 1, 'x', 'x' FROM texts;
    INSERT INTO label_snapshots (id, corpus_id, digest, blob_digest, scheme_version, text_count, cell_count)
        VALUES ('snp_1', 'cor_1', 'd', 'b', 1, 1, 1);
    INSERT INTO jobs (id, corpus_id, kind, state) VALUES ('job_1', 'cor_1', 'relabel', 'succeeded');
    INSERT INTO adapters (id, corpus_id, task, name, base_model, option_keys, digest, blob_digest, manifest, report)
        VALUES ('adp_1', 'cor_1', 'classify', 'a', 'minilm', '{a}', 'd', 'b', '{}', '{}');
    INSERT INTO relabel_runs (id, job_id, corpus_id, adapter_id, snapshot_id, scheme_version, option_keys, texts_blob, text_count)
        VALUES ('run_1', 'job_1', 'cor_1', 'adp_1', 'snp_1', 1, '{a}', 'b', 1);
    INSERT INTO rankings (id, run_id, corpus_id, snapshot_id, method, cells, audited_cells, flagged_cells)
        VALUES ('rnk_1', 'run_1', 'cor_1', 'snp_1', 'stacked', '[["q", "a"]]', 1, 1);
    INSERT INTO suspicions (ranking_id, text_version_id, suspicion) SELECT 'rnk_1', id, '{.9}' FROM text_versions;
    INSERT INTO disagreements (ranking_id, position, text_id, text_version_id, question_id, human_value, model_value, probability, suspicion)
        SELECT 'rnk_1', 1, v.text_id, v.id, q.id, 'yes', 'no', .1, .9 FROM text_versions v, questions q;
"""
"""What relabelling wrote before every score was kept."""


def test_a_corpus_that_was_relabelled_before_keeps_its_ranking(postgres_url: str) -> None:
    """From 0003, with rows, to the newest schema; then the corpus is deleted as any other."""
    name = "old_" + uuid4().hex
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    head, _, query = postgres_url.partition("?")
    url = f"{head.rsplit('/', 1)[0]}/{name}?{query}"
    command.upgrade(_config(url), "0003")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BEFORE_SCORES)
    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        told = connection.execute(
            """SELECT k.score_names, k.decoy_cells, k.calibration, k.budget, d.reason, d.suspicion, s.any_wrong, l.consensus_method, c.consensus
            FROM rankings k JOIN disagreements d ON d.ranking_id = k.id JOIN suspicions s ON s.ranking_id = k.id
            JOIN label_snapshots l ON l.id = k.snapshot_id JOIN corpora c ON c.id = k.corpus_id"""
        ).fetchone()
        assert told == ([], 0, {}, None, "flag", pytest.approx(0.9), None, "majority", "majority")
        connection.execute("DELETE FROM relabel_runs")
        assert connection.execute("SELECT count(*) FROM disagreements").fetchone() == (0,)
    engine_for(sqlalchemy_url(url)).dispose()
