"""What reviewers have been shown: recorded by the server when it shows it, never claimed by a client."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog
from app.http.security import Principal
from app.review.cells import CellView
from app.review.rules import CellKey

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


def record_once(session: WriteSession, caller: Principal, view: CellView) -> None:
    """Write down that a reviewer saw past the blind at a cell, unless that is known; readers do not decide, so theirs is not written."""
    if caller.role != "reader" and not was_shown(session, caller.name, view.key):
        record(session, caller.name, view.row.ranking_id, [view.row.id])


def was_shown(session: AnySession, reviewer: str, cell: CellKey) -> bool:
    """Whether a reviewer has seen past the blind at a cell, in any ranking: by a view that showed it, or by having voted there before."""
    return bool(session.scalar(_SHOWN, {**cell.parameters(), "reviewer": reviewer, "action": ACTION}))
