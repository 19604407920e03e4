"""The settled rows into the corpus: scheme, annotators, texts, versions, annotations. One set-based statement each, one transaction."""

from __future__ import annotations

from typing import Any

import psycopg

from app.corpora.scheme_queries import store_scheme
from app.db.session import WriteSession
from app.db.tables import Corpus
from workers.importing.plan import Plan
from workers.importing.staging import driver

_NUMBERED = """
    CREATE TEMP TABLE stage_numbered ON COMMIT DROP AS
    SELECT m.line, m.external_id, m.text_id IS NULL AS fresh, m.same,
           coalesce(m.text_id, nextval(pg_get_serial_sequence('texts', 'id'))) AS text_id,
           CASE WHEN m.same THEN m.version_id ELSE nextval(pg_get_serial_sequence('text_versions', 'id')) END AS version_id
    FROM (SELECT * FROM stage_match ORDER BY line) m
"""
_TEXTS = """
    INSERT INTO texts (id, corpus_id, external_id, current_version_id, given_split, groups, metadata, ordinal)
    SELECT n.text_id, %(corpus)s, n.external_id, n.version_id, s.split, s.groups, s.metadata, n.line
    FROM stage_numbered n JOIN stage_texts s USING (line) WHERE n.fresh ORDER BY n.line
"""
_VERSIONS = """
    INSERT INTO text_versions (id, text_id, version, content, sha256, job_id)
    SELECT n.version_id, n.text_id,
           CASE WHEN n.fresh THEN 1 ELSE (SELECT max(v.version) + 1 FROM text_versions v WHERE v.text_id = n.text_id) END,
           s.content, s.sha256, %(job)s
    FROM stage_numbered n JOIN stage_texts s USING (line) WHERE NOT n.same ORDER BY n.line
"""
_CHANGED_TEXTS = """
    UPDATE texts t SET current_version_id = n.version_id, given_split = coalesce(s.split, t.given_split),
        groups = t.groups || s.groups, metadata = t.metadata || s.metadata
    FROM stage_numbered n JOIN stage_texts s USING (line)
    WHERE t.id = n.text_id AND NOT n.fresh
      AND (t.current_version_id, t.given_split, t.groups, t.metadata)
          IS DISTINCT FROM (n.version_id, coalesce(s.split, t.given_split), t.groups || s.groups, t.metadata || s.metadata)
"""
_ANNOTATORS = """
    INSERT INTO annotators (corpus_id, name) SELECT DISTINCT %(corpus)s, annotator FROM stage_resolved
    ON CONFLICT (corpus_id, name) DO NOTHING
"""
_ANNOTATIONS = """
    INSERT INTO annotations (text_id, text_version_id, question_id, annotator_id, team, codebook_version, annotated_at, source, values)
    SELECT n.text_id, n.version_id, q.id, a.id, r.team, r.codebook, r.at, %(source)s, r.vals
    FROM stage_resolved r JOIN stage_questions sq ON sq.question = r.question
    JOIN questions q ON q.corpus_id = %(corpus)s AND q.key = sq.key
    JOIN annotators a ON a.corpus_id = %(corpus)s AND a.name = r.annotator
    JOIN stage_numbered n ON n.line = r.first_line
    ORDER BY r.at NULLS FIRST, r.line, r.question, r.annotator
"""


def store(session: WriteSession, corpus: Corpus, plan: Plan, job_id: str, fold_group: str | None) -> int:
    """Write everything staged into the corpus; gives the scheme's version. The caller holds the corpus row and commits."""
    version = store_scheme(session, corpus.id, plan.scheme) if plan.scheme.questions else 0
    if corpus.fold_group is None and fold_group is not None:
        corpus.fold_group = fold_group
        corpus.etag += 1
    session.flush()
    connection: psycopg.Connection[Any] = driver(session)
    names = {"corpus": corpus.id, "job": job_id, "source": f"import:{job_id}"}
    for statement in (
        _NUMBERED,
        "ANALYZE stage_numbered",
        _TEXTS,
        _VERSIONS,
        _CHANGED_TEXTS,
        _ANNOTATORS,
        _ANNOTATIONS,
    ):
        connection.execute(statement, names if "%(" in statement else None)
    return version
