"""SQL of relabelling: runs, rankings, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, select, text

from app.db.paging import newest_first
from app.db.session import AnySession
from app.db.tables import Prediction, Ranking, RelabelRun, Text, TextVersion
from app.http.problems import NotFound


def find_run(session: AnySession, corpus_id: str, run_id: str | None) -> RelabelRun:
    """A run of a corpus: the one named, else the newest finished one; NotFound when there is none."""
    query = select(RelabelRun).where(RelabelRun.corpus_id == corpus_id)
    if run_id is not None:
        query = query.where(RelabelRun.id == run_id)
    else:
        query = query.where(RelabelRun.finished_at.is_not(None)).order_by(RelabelRun.finished_at.desc())
    run = session.scalars(query.limit(1)).first()
    if run is None:
        named = f"no relabel run {run_id!r}" if run_id else "not been relabelled yet: POST /relabel-jobs"
        raise NotFound(f"The corpus has {named}.", field="run")
    return run


def list_predictions(
    session: AnySession, run_id: str, after: int, limit: int
) -> Sequence[Row[Prediction, int, str, int]]:
    """Predictions of a run with text number, external id and version number, by text version; after: the last text version already seen."""
    query = (
        select(Prediction, Text.id, Text.external_id, TextVersion.version)
        .join(TextVersion, TextVersion.id == Prediction.text_version_id)
        .join(Text, Text.id == TextVersion.text_id)
        .where(Prediction.run_id == run_id, Prediction.text_version_id > after)
    )
    return session.execute(query.order_by(Prediction.text_version_id).limit(limit)).all()


def text_predictions(
    session: AnySession, corpus_id: str, text_id: int, limit: int = 100
) -> Sequence[Row[Prediction, RelabelRun, int]]:
    """What each run of a corpus said about a text and which version of it, newest run first."""
    query = (
        select(Prediction, RelabelRun, TextVersion.version)
        .join(RelabelRun, RelabelRun.id == Prediction.run_id)
        .join(TextVersion, TextVersion.id == Prediction.text_version_id)
        .where(RelabelRun.corpus_id == corpus_id, TextVersion.text_id == text_id)
    )
    return session.execute(query.order_by(RelabelRun.created_at.desc(), RelabelRun.id).limit(limit)).all()


def has_text(session: AnySession, corpus_id: str, text_id: int) -> bool:
    """Whether a corpus has a text of that number."""
    return session.scalar(select(Text.id).where(Text.id == text_id, Text.corpus_id == corpus_id)) is not None


def list_rankings(
    session: AnySession, corpus_id: str | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Ranking]:
    """Rankings, newest first. corpus_id: of this corpus only; before: (created_at, id) of the last one seen."""
    query = select(Ranking)
    if corpus_id is not None:
        query = query.where(Ranking.corpus_id == corpus_id)
    return session.scalars(newest_first(query, Ranking.created_at, Ranking.id, before, limit)).all()


def newest_ranking(session: AnySession, corpus_id: str) -> Ranking | None:
    """The ranking that listings of a corpus walk unless they are told otherwise."""
    return next(iter(list_rankings(session, corpus_id, None, 1)), None)


def newest_ranking_of_run(session: AnySession, run_id: str) -> Ranking | None:
    """The newest ranking of a run."""
    query = select(Ranking).where(Ranking.run_id == run_id).order_by(Ranking.created_at.desc())
    return session.scalars(query.limit(1)).first()


_TEXTS = """
    SELECT s.text_version_id, v.text_id, t.external_id, s.any_wrong, s.highest,
        (SELECT place - 1 FROM unnest(s.suspicion) WITH ORDINALITY AS held (value, place) WHERE value <> 'NaN'
            ORDER BY value DESC, place LIMIT 1) AS top
    FROM suspicions s JOIN text_versions v ON v.id = s.text_version_id JOIN texts t ON t.id = v.text_id
    WHERE s.ranking_id = :ranking AND s.{by} IS NOT NULL
        AND (CAST(:value AS real) IS NULL OR s.{by} < CAST(:value AS real)
            OR (s.{by} = CAST(:value AS real) AND s.text_version_id > :version))
    ORDER BY s.{by} DESC, s.text_version_id LIMIT :limit
"""


def suspicious_texts(
    session: AnySession,
    ranking_id: str,
    by: Literal["any_wrong", "highest"],
    after: tuple[float, int] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Texts of a ranking by falling pooled suspicion, with the place of their most suspicious cell. after: (value, text version) of the last one seen."""
    value, version = after or (None, 0)
    parameters = {"ranking": ranking_id, "value": value, "version": version, "limit": limit}
    return session.execute(text(_TEXTS.format(by=by)), parameters).all()


def scheme_options(session: AnySession, corpus_id: str) -> list[str]:
    """Option keys of a corpus, by position."""
    query = text("SELECT key FROM options WHERE corpus_id = :corpus ORDER BY position")
    return list(session.scalars(query, {"corpus": corpus_id}))


def models_used(session: AnySession, run_id: str) -> dict[str, Any]:
    """How many texts of a run were predicted by how many models, held out or not."""
    query = text(
        """SELECT held_out, models, count(*) FROM predictions WHERE run_id = :run GROUP BY held_out, models ORDER BY 1 DESC, 2"""
    )
    rows = session.execute(query, {"run": run_id}).all()
    return {
        "held_out": {str(models): count for held_out, models, count in rows if held_out},
        "not_held_out": sum(count for held_out, models, count in rows if not held_out and models),
        "unreadable": sum(count for held_out, models, count in rows if not models),
    }
