"""What reviewers have been shown: recorded by the server when it shows it, never claimed by a client."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog

ACTION = "disagreements.shown"
"""In the audit log: `object_id` is the ranking, `detail` {"disagreements": [ids] or "all"}. The actor is the reviewer's name."""

_SHOWN = text(
    """SELECT EXISTS (
        SELECT FROM reviews r WHERE r.text_id = :text_id AND r.question_id = :question_id
            AND r.option_id IS NOT DISTINCT FROM CAST(:option_id AS bigint) AND r.value IS NOT NULL AND r.reviewer = :reviewer
    ) OR EXISTS (
        SELECT FROM disagreements d JOIN audit_log a ON a.object_id = d.ranking_id
        WHERE d.text_id = :text_id AND d.question_id = :question_id AND d.option_id IS NOT DISTINCT FROM CAST(:option_id AS bigint)
            AND a.actor = :reviewer AND a.action = :action
            AND (a.detail -> 'disagreements' @> to_jsonb(d.id) OR a.detail ->> 'disagreements' = 'all')
    )"""
)


def record(
    session: WriteSession, reviewer: str, ranking_id: str, disagreements: Sequence[int] | None
) -> None:
    """Write down that a reviewer was shown the model's and the annotators' view of these disagreements; None: of all of a ranking's."""
    if disagreements is not None and not disagreements:
        return
    detail = {"disagreements": "all" if disagreements is None else list(disagreements)}
    session.add(AuditLog(actor=reviewer, action=ACTION, object_id=ranking_id, detail=detail))


def was_shown(
    session: AnySession, reviewer: str, text_id: int, question_id: int, option_id: int | None
) -> bool:
    """Whether a reviewer has seen past the blind for a cell, in any ranking: by a view that showed it, or by having voted on it before."""
    parameters = {
        "reviewer": reviewer,
        "text_id": text_id,
        "question_id": question_id,
        "option_id": option_id,
        "action": ACTION,
    }
    return bool(session.scalar(_SHOWN, parameters))
