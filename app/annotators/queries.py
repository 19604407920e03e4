"""SQL of annotators: which codebook versions there are, and the annotations of one of them under filters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import text

from app.corpora.annotations import COLUMNS, copy_frame
from app.corpora.rules import codebook_ranks
from app.db.session import AnySession

_VERSIONS = text(
    """SELECT a.codebook_version AS name, count(*) AS annotations, count(DISTINCT a.text_id) AS texts,
        count(DISTINCT a.annotator_id) AS annotators
    FROM annotations a JOIN texts t ON t.id = a.text_id WHERE t.corpus_id = :corpus GROUP BY a.codebook_version"""
)
_TEAMS = text(
    """SELECT DISTINCT a.team FROM annotations a JOIN texts t ON t.id = a.text_id
    WHERE t.corpus_id = :corpus AND a.team IS NOT NULL ORDER BY a.team"""
)
_FILTER_KEYS = text(
    """SELECT DISTINCT k FROM texts t, jsonb_object_keys(CASE WHEN :grouping THEN t.groups ELSE t.metadata END) k
    WHERE t.corpus_id = :corpus ORDER BY k"""
)
_NAMES = text("SELECT id, name FROM annotators WHERE corpus_id = :corpus ORDER BY name")
# Reviews are no annotations: they are in another table and never come here.
_ROWS: LiteralString = """
    COPY (
        SELECT a.text_id, a.question_id, a.annotator_id, a.codebook_version, array_to_string(a.values, '', '.'),
            a.team, a.source, to_char(a.annotated_at AT TIME ZONE 'UTC', 'YYYY "Q"Q')
        FROM annotations a JOIN texts t ON t.id = a.text_id
        WHERE t.corpus_id = %(corpus)s AND a.codebook_version = %(version)s
          AND (%(team)s::text IS NULL OR a.team = %(team)s)
          AND (%(since)s::timestamptz IS NULL OR a.annotated_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR a.annotated_at < %(until)s)
          AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(%(metadata)s::jsonb) f WHERE t.metadata ->> f.key IS DISTINCT FROM f.value)
          AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(%(groups)s::jsonb) f WHERE t.groups ->> f.key IS DISTINCT FROM f.value)
        ORDER BY a.annotated_at NULLS FIRST, a.id
    ) TO STDOUT (FORMAT csv)
"""
_REPORT = text(
    """SELECT id AS job_id, finished_at, result FROM jobs WHERE kind = 'annotators' AND corpus_id = :corpus AND state = 'succeeded'
        AND result ->> 'codebook_version' = :version ORDER BY finished_at DESC, id DESC LIMIT 1"""
)
_TEXTS = text(
    """SELECT t.id, coalesce(t.groups ->> c.fold_group, 'text:' || t.external_id) AS fold_group, v.content
    FROM texts t JOIN corpora c ON c.id = t.corpus_id JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus AND t.id = ANY(:texts)"""
)
_COLUMNS = COLUMNS | dict.fromkeys(("team", "source", "quarter"), pl.String())


def codebook_versions(session: AnySession, corpus_id: str) -> list[dict[str, Any]]:
    """Codebook versions that annotations name, the newest first, with how much was given under each."""
    rows = [dict(row) for row in session.execute(_VERSIONS, {"corpus": corpus_id}).mappings()]
    ranks = codebook_ranks(row["name"] for row in rows)
    return sorted(rows, key=lambda row: -ranks[row["name"]])


def teams(session: AnySession, corpus_id: str) -> list[str]:
    """The teams that annotations name, in the order of names."""
    return list(session.scalars(_TEAMS, {"corpus": corpus_id}))


def filter_keys(session: AnySession, corpus_id: str, *, grouping: bool) -> list[str]:
    """The grouping keys, or the metadata keys, that a corpus's texts have."""
    return list(session.scalars(_FILTER_KEYS, {"corpus": corpus_id, "grouping": grouping}))


@dataclass(frozen=True, slots=True)
class ValueChoices:
    """What values can be filtered by."""

    teams: list[str]
    metadata_keys: list[str]
    group_keys: list[str]


def value_choices(session: AnySession, corpus_id: str) -> ValueChoices:
    """What a corpus's values can be filtered by."""
    return ValueChoices(
        teams(session, corpus_id),
        filter_keys(session, corpus_id, grouping=False),
        filter_keys(session, corpus_id, grouping=True),
    )


def annotator_names(session: AnySession, corpus_id: str) -> dict[int, str]:
    """Names by id, in the order of names."""
    return {row.id: row.name for row in session.execute(_NAMES, {"corpus": corpus_id})}


def annotations_under(
    session: AnySession,
    corpus_id: str,
    version: str,
    team: str | None,
    period: tuple[datetime | None, datetime | None],
    filters: Mapping[str, Mapping[str, str]],
) -> pl.DataFrame:
    """Annotations given under a codebook version, oldest first. filters: `metadata` and `groups`, whose pairs must all hold."""
    since, until = period
    parameters = {
        "corpus": corpus_id, "version": version, "team": team, "since": since, "until": until,
        "metadata": json.dumps(filters["metadata"]), "groups": json.dumps(filters["groups"]),
    }  # fmt: skip
    frame = copy_frame(session, _ROWS, parameters, _COLUMNS)
    return frame.with_columns(pl.col("codebook_version").fill_null(""))


def newest_report(session: AnySession, corpus_id: str, version: str | None) -> dict[str, Any] | None:
    """What the newest finished annotator report of a codebook version found."""
    row = session.execute(_REPORT, {"corpus": corpus_id, "version": version}).first()
    return None if row is None else {"job_id": row.job_id, "finished_at": row.finished_at, **row.result}


def texts_with_groups(
    session: AnySession, corpus_id: str, text_ids: NDArray[np.int64]
) -> tuple[list[str], list[str]]:
    """Contents and fold groups of texts, in their order; LookupError when one is gone."""
    rows = session.execute(_TEXTS, {"corpus": corpus_id, "texts": text_ids.tolist()})
    found = {row.id: (row.content, row.fold_group) for row in rows}
    if len(found) < len(text_ids):
        raise LookupError(f"{len(text_ids) - len(found)} texts are gone")
    ordered = [found[number] for number in text_ids.tolist()]
    return [content for content, _ in ordered], [group for _, group in ordered]
