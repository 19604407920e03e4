"""What the report counts, out of the staged tables."""

from __future__ import annotations

from typing import Any

import psycopg

from workers.importing.plan import Plan

TOO_RARE = 10
"""Texts with a yes below which an option can hardly be learned."""

_TEXTS = """
    SELECT count(*) FILTER (WHERE text_id IS NULL) AS new, count(*) FILTER (WHERE text_id IS NOT NULL AND NOT same) AS updated,
           count(*) FILTER (WHERE same) AS identical FROM stage_match
"""
_ANNOTATIONS = """
    SELECT (SELECT count(*) FROM stage_answers) AS in_file, count(*) FILTER (WHERE before IS NULL) AS new,
           count(*) FILTER (WHERE before IS NOT NULL) AS changed FROM stage_resolved
"""
_OPTIONS = """
    WITH cells AS (
        SELECT a.line, a.question, v.place, v.value FROM stage_answers a, unnest(a.vals) WITH ORDINALITY v(value, place)),
    yes_texts AS (
        SELECT question, place, count(*) AS number
        FROM (SELECT DISTINCT s.external_id, c.question, c.place FROM cells c JOIN stage_texts s USING (line) WHERE c.value = 1) d
        GROUP BY question, place)
    SELECT c.question, c.place, coalesce(max(y.number), 0) AS yes_texts,
           count(*) FILTER (WHERE c.value = 1) AS yes, count(*) FILTER (WHERE c.value = 0) AS no,
           count(*) FILTER (WHERE c.value IS NULL) AS missing, count(*) FILTER (WHERE c.value = 2) AS uncertain,
           count(*) FILTER (WHERE c.value = 3) AS not_applicable
    FROM cells c LEFT JOIN yes_texts y USING (question, place) GROUP BY c.question, c.place
"""
_DUPLICATES = """
    WITH same AS (
        SELECT s.sha256, s.external_id FROM stage_first f JOIN stage_texts s USING (line)
        WHERE s.sha256 IN (SELECT x.sha256 FROM stage_first g JOIN stage_texts x USING (line) GROUP BY x.sha256 HAVING count(*) > 1)),
    cells AS (
        SELECT same.sha256, same.external_id, a.question, v.place,
               sign(count(*) FILTER (WHERE v.value = 1) - count(*) FILTER (WHERE v.value = 0)) AS side
        FROM same JOIN stage_texts s USING (external_id) JOIN stage_answers a USING (line),
             unnest(a.vals) WITH ORDINALITY v(value, place)
        WHERE v.value IN (0, 1) GROUP BY same.sha256, same.external_id, a.question, v.place),
    conflicts AS (SELECT DISTINCT sha256 FROM cells GROUP BY sha256, question, place HAVING min(side) < 0 AND max(side) > 0)
    SELECT count(DISTINCT sha256) AS groups, count(*) AS texts, (SELECT count(*) FROM conflicts) AS conflicting FROM same
"""
_NAMES = """
    SELECT (SELECT array_agg(DISTINCT annotator) FROM stage_answers) AS annotators,
           (SELECT array_agg(DISTINCT team) FROM stage_answers WHERE team IS NOT NULL) AS teams,
           (SELECT array_agg(DISTINCT codebook) FROM stage_answers WHERE codebook <> '') AS codebook_versions
"""
_GROUPS = """
    SELECT g.key, count(DISTINCT g.value) AS number FROM stage_first f JOIN stage_texts s USING (line), jsonb_each_text(s.groups) g GROUP BY g.key
"""
_SPLITS = "SELECT s.split, count(*) AS number FROM stage_first f JOIN stage_texts s USING (line) WHERE s.split IS NOT NULL GROUP BY s.split ORDER BY s.split"
_UNLABELLED = """
    SELECT count(*) FROM stage_first f WHERE NOT EXISTS (
        SELECT 1 FROM stage_texts s JOIN stage_answers a USING (line) WHERE s.external_id = f.external_id)
"""
_REJECTED = "SELECT line, col, reason FROM stage_rejected ORDER BY line, col, reason LIMIT %s"


def count(connection: psycopg.Connection[Any], plan: Plan, shown: int) -> dict[str, Any]:
    """Numbers of everything staged, as the report has them. shown: rejected rows to quote."""
    texts = dict(zip(("new", "updated", "identical"), _row(connection, _TEXTS), strict=True))
    annotations = dict(zip(("in_file", "new", "changed"), _row(connection, _ANNOTATIONS), strict=True))
    duplicates = dict(zip(("groups", "texts", "conflicting"), _row(connection, _DUPLICATES), strict=True))
    annotators, teams, codebooks = _row(connection, _NAMES)
    return {
        "texts": {**texts, "unlabelled": _row(connection, _UNLABELLED)[0]},
        "annotations": {
            **annotations,
            "identical": annotations["in_file"] - annotations["new"] - annotations["changed"],
        },
        "duplicates": duplicates,
        "options": _options(connection, plan),
        "annotators": annotators or [],
        "teams": teams or [],
        "codebook_versions": codebooks or [],
        "groups": dict(connection.execute(_GROUPS).fetchall()),
        "splits": dict(connection.execute(_SPLITS).fetchall()),
        "rejected": {
            "rows": _row(connection, "SELECT count(DISTINCT line) FROM stage_rejected")[0],
            "shown": [
                {"line": line, "column": column, "reason": reason}
                for line, column, reason in connection.execute(_REJECTED, (shown,))
            ],
        },
    }


def _options(connection: psycopg.Connection[Any], plan: Plan) -> list[dict[str, Any]]:
    names = ("yes_texts", "yes", "no", "missing", "uncertain", "not_applicable")
    counted = {
        (row[0], row[1]): dict(zip(names, row[2:], strict=True)) for row in connection.execute(_OPTIONS)
    }
    return [
        {"question": question.key, "option": key, **counted.get((place, number), dict.fromkeys(names, 0))}
        for place, question in enumerate(plan.questions)
        for number, key in enumerate(question.options, 1)
        if question.covered[number - 1]
    ]


def _row(connection: psycopg.Connection[Any], statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return tuple(row)
