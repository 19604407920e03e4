"""Staged rows against each other and against the corpus: which are the same text, which contradict, what is new. Set-based SQL only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from workers.importing.plan import Plan

_IDS_FROM_CONTENT = """
    UPDATE stage_texts s SET external_id = 'text-' || left(encode(sha256(convert_to(s.content, 'UTF8')), 'hex'), 20)
        || CASE WHEN n.number > 1 THEN '-' || n.number ELSE '' END
    FROM (SELECT line, CASE WHEN %(several)s THEN 1 ELSE row_number() OVER (PARTITION BY content ORDER BY line) END AS number
          FROM stage_texts) n
    WHERE n.line = s.line
"""
_FIRST = """
    CREATE TEMP TABLE stage_first ON COMMIT DROP AS
    SELECT DISTINCT ON (external_id) line, external_id FROM stage_texts ORDER BY external_id, line
"""
_OTHER_TEXT = """
    INSERT INTO stage_rejected (line, col, reason)
    SELECT s.line, %(column)s, format('The id %%s stands on line %%s with another text.', left(quote_literal(s.external_id), 120), f.line)
    FROM stage_texts s JOIN stage_first f USING (external_id) JOIN stage_texts o ON o.line = f.line
    WHERE s.line <> f.line AND s.content <> o.content
"""
_DROP_REJECTED: tuple[LiteralString, ...] = (
    "DELETE FROM stage_answers a USING stage_rejected r WHERE r.line = a.line",
    "DELETE FROM stage_long a USING stage_rejected r WHERE r.line = a.line",
)
_LONG_CONTRADICTIONS = """
    INSERT INTO stage_rejected (line, col, reason)
    SELECT line, %(column)s, 'The same annotator gives this label another value on line ' || first_line || '.'
    FROM (SELECT l.line, l.value, first_value(l.line) OVER w AS first_line, first_value(l.value) OVER w AS first_value
          FROM stage_long l JOIN stage_texts t USING (line) WHERE l.place IS NOT NULL AND l.question = %(question)s
          WINDOW w AS (PARTITION BY t.external_id, l.question, l.annotator, l.codebook, l.at, l.place ORDER BY l.line)) x
    WHERE value IS DISTINCT FROM first_value
"""
_LONG_TO_ANSWERS = """
    INSERT INTO stage_answers (line, question, annotator, team, codebook, at, vals)
    SELECT min(l.line), l.question, l.annotator, max(l.team), l.codebook, l.at,
           ARRAY(SELECT coalesce((jsonb_object_agg(l.place, l.value) FILTER (WHERE l.place IS NOT NULL) ->> i.place::text)::smallint,
                                 CASE WHEN (%(covered)s::bool[])[i.place + 1] THEN %(unlisted)s::smallint END)
                 FROM generate_series(0, %(size)s - 1) i(place) ORDER BY i.place)
    FROM stage_long l JOIN stage_texts t USING (line) WHERE l.question = %(question)s
    GROUP BY t.external_id, l.question, l.annotator, l.codebook, l.at
"""
_OTHER_ANSWER = """
    INSERT INTO stage_rejected (line, col, reason)
    SELECT line, %(column)s, 'The same annotator answers the question otherwise on line ' || first_line || '.'
    FROM (SELECT a.line, a.vals, first_value(a.line) OVER w AS first_line, first_value(a.vals) OVER w AS first_vals
          FROM stage_answers a JOIN stage_texts t USING (line) WHERE a.question = %(question)s
          WINDOW w AS (PARTITION BY t.external_id, a.annotator, a.codebook, a.at ORDER BY a.line)) x
    WHERE vals <> first_vals
"""
_REPEATED_ANSWERS = """
    DELETE FROM stage_answers a USING (
        SELECT a.line, a.question, a.annotator,
               row_number() OVER (PARTITION BY t.external_id, a.question, a.annotator, a.codebook, a.at ORDER BY a.line) AS number
        FROM stage_answers a JOIN stage_texts t USING (line)) d
    WHERE d.number > 1 AND d.line = a.line AND d.question = a.question AND d.annotator = a.annotator
"""
_MATCH = """
    CREATE TEMP TABLE stage_match ON COMMIT DROP AS
    SELECT f.line, f.external_id, t.id AS text_id, t.current_version_id AS version_id, coalesce(v.content = s.content, false) AS same
    FROM stage_first f JOIN stage_texts s USING (line)
    LEFT JOIN texts t ON t.corpus_id = %(corpus)s AND t.external_id = f.external_id
    LEFT JOIN text_versions v ON v.id = t.current_version_id
"""
_RESOLVED = """
    CREATE TEMP TABLE stage_resolved ON COMMIT DROP AS
    SELECT a.line, a.question, a.annotator, a.team, a.codebook, a.at, m.line AS first_line, m.text_id, m.same,
           q.question_id, n.id AS annotator_id, m.version_id, p.vals AS before, p.text_version_id AS before_version, a.vals AS said,
           CASE WHEN p.vals IS NULL OR array_position(a.vals, NULL) IS NULL THEN a.vals
                ELSE ARRAY(SELECT coalesce(u.new, u.old)
                           FROM unnest(a.vals, p.vals) WITH ORDINALITY u(new, old, place) ORDER BY u.place) END AS vals
    FROM stage_answers a JOIN stage_texts s USING (line) JOIN stage_match m USING (external_id)
    JOIN stage_questions q ON q.question = a.question
    LEFT JOIN annotators n ON n.corpus_id = %(corpus)s AND n.name = a.annotator
    LEFT JOIN LATERAL (
        SELECT e.values || array_fill(NULL::smallint, ARRAY[greatest(q.size - cardinality(e.values), 0)]) AS vals, e.text_version_id
        FROM annotations e
        WHERE e.text_id = m.text_id AND e.question_id = q.question_id AND e.annotator_id = n.id AND e.codebook_version = a.codebook
        ORDER BY e.annotated_at DESC NULLS LAST, e.id DESC LIMIT 1) p ON true
"""
_KNOWN_OCCASIONS = """
    DELETE FROM stage_resolved r
    WHERE r.same AND r.before IS NOT NULL AND (
        (r.before = r.vals AND r.before_version = r.version_id) OR EXISTS (
            SELECT 1 FROM annotations e
            WHERE e.text_id = r.text_id AND e.question_id = r.question_id AND e.annotator_id = r.annotator_id
              AND e.codebook_version = r.codebook AND e.annotated_at IS NOT DISTINCT FROM r.at AND e.text_version_id = r.version_id
              AND NOT EXISTS (SELECT FROM unnest(e.values, r.said) u(old, new) WHERE u.new IS NOT NULL AND u.old IS DISTINCT FROM u.new)))
"""


def settle(
    connection: psycopg.Connection[Any], corpus_id: str, plan: Plan, question_ids: dict[str, int]
) -> None:
    """Make stage_match (one row per text) and stage_resolved (one row per annotation that would be new) out of the staged rows.

    Rows that contradict earlier ones go to stage_rejected: the first of them counts.
    """
    if plan.id < 0:
        several = plan.annotator >= 0 or any(question.shape == "long" for question in plan.questions)
        connection.execute(_IDS_FROM_CONTENT, {"several": several})
    connection.execute(_FIRST)
    connection.execute("CREATE INDEX ON stage_texts (line)")
    connection.execute("CREATE INDEX ON stage_texts (external_id)")
    connection.execute(_OTHER_TEXT, {"column": plan.columns[plan.text]})
    _drop_rejected(connection)
    connection.execute(
        "DELETE FROM stage_texts s USING stage_rejected r WHERE r.line = s.line AND r.col = %s",
        (plan.columns[plan.text],),
    )
    for place in range(len(plan.questions)):
        _settle_question(connection, plan, place)
    connection.execute(_REPEATED_ANSWERS)
    connection.execute("ANALYZE stage_answers")
    _questions(connection, plan, question_ids)
    connection.execute(_MATCH, {"corpus": corpus_id})
    connection.execute("CREATE INDEX ON stage_match (external_id)")
    connection.execute("ANALYZE stage_match")
    connection.execute(_RESOLVED, {"corpus": corpus_id})
    connection.execute("ANALYZE stage_resolved")
    connection.execute(_KNOWN_OCCASIONS)


def _settle_question(connection: psycopg.Connection[Any], plan: Plan, place: int) -> None:
    question = plan.questions[place]
    column = plan.columns[question.column if question.column >= 0 else question.wide[0].column]
    if question.shape == "long":
        connection.execute(_LONG_CONTRADICTIONS, {"column": column, "question": place})
        _drop_rejected(connection)
        connection.execute(
            _LONG_TO_ANSWERS,
            {
                "question": place,
                "size": len(question.options),
                "covered": list(question.covered),
                "unlisted": 0 if question.unlisted_no else None,
            },
        )
    connection.execute(_OTHER_ANSWER, {"column": column, "question": place})
    _drop_rejected(connection)


def _drop_rejected(connection: psycopg.Connection[Any]) -> None:
    for statement in _DROP_REJECTED:
        connection.execute(statement)


def _questions(connection: psycopg.Connection[Any], plan: Plan, question_ids: dict[str, int]) -> None:
    """stage_questions: the file's questions with their row ids (null before they are stored) and how many options they have."""
    connection.execute(
        "CREATE TEMP TABLE stage_questions (question smallint, key text, question_id bigint, size integer) ON COMMIT DROP"
    )
    rows: Sequence[tuple[Any, ...]] = [
        (
            place,
            question.key,
            question_ids.get(question.key),
            len(question.options),
        )
        for place, question in enumerate(plan.questions)
    ]
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO stage_questions VALUES (%s, %s, %s, %s)", rows)
