"""SQL of evaluations."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from app.db.session import AnySession
from app.db.tables import Evaluation
from app.http.problems import NotFound
from app.http.security import Principal, check_scope

_OF_ADAPTER = text(
    """SELECT e.job_id, e.task, e.snapshot_id, e.created_at, e.document -> 'scope' AS scope, e.document -> 'held_out' -> 'share' AS held_out_share,
        e.document -> 'macro' -> 'model' ->> 'f1' AS macro_f1, e.document -> 'verdict' ->> 'sentence' AS sentence, c.name AS corpus
    FROM evaluations e JOIN corpora c ON c.id = e.corpus_id
    WHERE e.adapter_id = :id AND (CAST(:only AS text) IS NULL OR e.corpus_id = :only)
    ORDER BY e.created_at DESC, e.job_id DESC LIMIT 50"""
)
_HAS_SPLIT = text("SELECT EXISTS (SELECT FROM texts WHERE corpus_id = :corpus AND given_split = :split)")


def find_evaluation(session: AnySession, job_id: str, caller: Principal) -> Evaluation:
    """What an evaluation job found; NotFound when there is none that this key reaches, or it has not succeeded."""
    found = session.get(Evaluation, job_id)
    if found is None:
        raise NotFound(
            f"There is no finished evaluation {job_id!r}: GET /evaluations lists the jobs.", field="job_id"
        )
    check_scope(caller, found.corpus_id)
    return found


def evaluations_of(session: AnySession, adapter_id: str, caller: Principal) -> list[dict[str, Any]]:
    """Evaluations of an adapter that this key reaches, newest first, without their curves."""
    rows = session.execute(_OF_ADAPTER, {"id": adapter_id, "only": caller.corpus_id}).mappings()
    return [
        {
            **row,
            "created_at": row["created_at"].isoformat(),
            "macro_f1": None if row["macro_f1"] is None else float(row["macro_f1"]),
            "report": f"/evaluations/{row['job_id']}/report",
        }
        for row in rows
    ]


def has_split(session: AnySession, corpus_id: str, split: str) -> bool:
    """Whether a text of the corpus has this given split."""
    return bool(session.scalar(_HAS_SPLIT, {"corpus": corpus_id, "split": split}))
