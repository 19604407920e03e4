"""SQL of the pages: the overview of corpora with their newest run and jobs, snippets, filter choices, adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row

from app.db.session import AnySession
from app.http.problems import NotFound
from app.http.security import Principal, check_scope

_CORPORA = text(
    """SELECT c.id, c.name, c.description, c.synthetic, c.sensitive, c.promoted_adapter_id, p.name AS promoted_name,
        c.promoted_summarizer_id, w.name AS summarizer_name,
        (SELECT count(*) FROM texts t WHERE t.corpus_id = c.id) AS texts,
        (SELECT count(*) FROM options o WHERE o.corpus_id = c.id AND NOT o.retired) AS options,
        (SELECT count(*) FROM annotators n WHERE n.corpus_id = c.id) AS annotators,
        (SELECT count(*) FROM disagreements d WHERE d.ranking_id = k.id AND d.reason <> 'finding' AND EXISTS (
            SELECT FROM reviews r WHERE r.text_id = d.text_id AND r.question_id = d.question_id
            AND r.option_id IS NOT DISTINCT FROM d.option_id AND r.undoes IS NULL
            AND NOT EXISTS (SELECT FROM reviews u WHERE u.undoes = r.id))) AS decided,
        k.id AS ranking_id, k.created_at AS ranked_at, k.flagged_cells + k.decoy_cells AS queued, k.audited_cells,
        EXISTS (SELECT FROM findings f WHERE f.ranking_id = k.id) AS has_findings, u.id AS run_id, u.not_audited,
        a.id AS adapter_id, a.name AS adapter_name, EXISTS (SELECT FROM samples s WHERE s.corpus_id = c.id) AS sampled,
        EXISTS (SELECT FROM summary_runs s WHERE s.corpus_id = c.id) AS summarized,
        (SELECT e.job_id FROM estimates e WHERE e.corpus_id = c.id ORDER BY e.created_at DESC, e.job_id DESC LIMIT 1) AS estimates_id
    FROM corpora c
    LEFT JOIN adapters p ON p.id = c.promoted_adapter_id
    LEFT JOIN adapters w ON w.id = c.promoted_summarizer_id
    LEFT JOIN LATERAL (SELECT * FROM rankings k WHERE k.corpus_id = c.id ORDER BY k.created_at DESC, k.id DESC LIMIT 1) k ON true
    LEFT JOIN relabel_runs u ON u.id = k.run_id
    LEFT JOIN adapters a ON a.id = u.adapter_id
    WHERE CAST(:only AS text) IS NULL OR c.id = :only
    ORDER BY c.created_at DESC, c.id DESC LIMIT 200"""
)
_JOBS = text(
    """SELECT j.id, j.kind, j.state, j.progress, j.error ->> 'detail' AS failure, j.created_at, j.finished_at, j.created_by, c.name AS corpus
    FROM jobs j LEFT JOIN corpora c ON c.id = j.corpus_id
    WHERE CAST(:only AS text) IS NULL OR j.corpus_id = :only
    ORDER BY (j.state IN ('queued', 'running', 'paused')) DESC, j.created_at DESC, j.id DESC LIMIT 8"""
)
_CORPUS = text("SELECT id, name, synthetic, sensitive FROM corpora WHERE id = :id")
_ANNOTATORS = text("SELECT name FROM annotators WHERE corpus_id = :id ORDER BY name LIMIT 500")
_TEAMS = text(
    """SELECT DISTINCT a.team FROM annotations a JOIN texts t ON t.id = a.text_id
    WHERE t.corpus_id = :id AND a.team IS NOT NULL ORDER BY a.team LIMIT 500"""
)
# Not the keys that say the same of every text: there is nothing to filter by.
_METADATA = text(
    """SELECT key FROM texts CROSS JOIN jsonb_each_text(metadata) AS held (key, value) WHERE corpus_id = :id GROUP BY key
    HAVING min(value) <> max(value) OR count(*) < (SELECT count(*) FROM texts WHERE corpus_id = :id) ORDER BY key LIMIT 12"""
)
_SNIPPETS = text(
    """SELECT t.id, left(v.content, 400) AS words FROM texts t JOIN text_versions v ON v.id = t.current_version_id WHERE t.id = ANY(:ids)"""
)
_ADAPTER = text(
    """SELECT a.id, a.name, a.corpus_id, a.base_model, a.report, a.beats_baselines, a.promoted_at, a.created_at, a.origin,
        a.task, a.manifest, a.digest, a.job_id, a.snapshot_id, c.name AS corpus, c.synthetic,
        a.id IN (c.promoted_adapter_id, c.promoted_summarizer_id) AS promoted,
        (SELECT s.id FROM jobs s WHERE s.id = a.report -> 'search' ->> 'search_id' AND s.kind = 'search'
            AND s.corpus_id IS NOT DISTINCT FROM a.corpus_id) AS search_id
    FROM adapters a LEFT JOIN corpora c ON c.id = a.corpus_id WHERE a.id = :id"""
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a listing can be filtered by."""

    annotators: list[str]
    teams: list[str]
    metadata_keys: list[str]


def overview(session: AnySession, caller: Principal) -> Sequence[Row[Any]]:
    """Every corpus the caller's key reaches, newest first, with its newest ranking and how many of its disagreements have a decision."""
    return session.execute(_CORPORA, {"only": caller.corpus_id}).all()


def recent_jobs(session: AnySession, caller: Principal) -> Sequence[Row[Any]]:
    """Jobs under way, then the newest ended ones."""
    return session.execute(_JOBS, {"only": caller.corpus_id}).all()


def corpus_row(session: AnySession, corpus_id: str) -> Row[Any]:
    """Id, name and marks of a corpus that is known to exist."""
    return session.execute(_CORPUS, {"id": corpus_id}).one()


def choices(session: AnySession, corpus_id: str) -> Choices:
    """Names to choose from in the filters."""
    of = {"id": corpus_id}
    return Choices(
        annotators=list(session.scalars(_ANNOTATORS, of)),
        teams=list(session.scalars(_TEAMS, of)),
        metadata_keys=list(session.scalars(_METADATA, of)),
    )


def snippets(session: AnySession, text_ids: Sequence[int]) -> dict[int, str]:
    """The first words of texts, by text id."""
    return {row.id: row.words for row in session.execute(_SNIPPETS, {"ids": list(text_ids)})}


def adapter(session: AnySession, adapter_id: str, caller: Principal) -> Row[Any]:
    """An adapter with its report; NotFound when there is none that this key reaches."""
    row = session.execute(_ADAPTER, {"id": adapter_id}).first()
    if row is None:
        raise NotFound(f"There is no adapter {adapter_id[:60]}.", field="adapter_id")
    check_scope(caller, row.corpus_id)
    return row
