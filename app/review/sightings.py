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
TEXTS_ACTION = "texts.shown"
"""Every value or probability of whole texts: `object_id` is the corpus, `detail` {"texts": [ids] or "all"}."""

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
_CELLS_SHOWN = text(
    """SELECT r.question_id, r.option_id FROM reviews r WHERE r.text_id = :text_id AND r.value IS NOT NULL AND r.reviewer = :reviewer
    UNION SELECT d.question_id, d.option_id FROM disagreements d JOIN audit_log a ON a.object_id = d.ranking_id
    WHERE d.text_id = :text_id AND a.actor = :reviewer AND a.action = :action
        AND (a.detail -> 'disagreements' @> to_jsonb(d.id) OR a.detail ->> 'disagreements' = 'all')"""
)
_TEXT_SHOWN = text(
    """SELECT EXISTS (
        SELECT FROM texts t JOIN audit_log a ON a.object_id = t.corpus_id
        WHERE t.id = :text_id AND a.actor = :reviewer AND a.action = :action
            AND (a.detail -> 'texts' @> to_jsonb(t.id) OR a.detail ->> 'texts' = 'all')
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


def record_texts(
    session: WriteSession, caller: Principal, corpus_id: str, texts: Sequence[int] | None
) -> None:
    """Write down that a reviewer was shown values or probabilities of these texts; None: of all of a corpus. Readers do not decide, so theirs is not written."""
    if caller.role == "reader" or (texts is not None and not texts):
        return
    detail = {"texts": "all" if texts is None else list(texts)}
    session.add(AuditLog(actor=caller.name, action=TEXTS_ACTION, object_id=corpus_id, detail=detail))


def record_once(session: WriteSession, caller: Principal, view: CellView) -> None:
    """Write down that a reviewer saw past the blind at a cell, unless that is known. Who sees one cell sees the other options of its text too."""
    if caller.role != "reader" and not _text_shown(session, caller.name, view.row.text_id):
        record_texts(session, caller, view.row.corpus_id, [view.row.text_id])


def was_shown(session: AnySession, reviewer: str, cell: CellKey) -> bool:
    """Whether a reviewer has seen past the blind at a cell, in any ranking: by a view that showed it or its text, or by having voted there before."""
    parameters = {**cell.parameters(), "reviewer": reviewer, "action": ACTION}
    return bool(session.scalar(_SHOWN, parameters)) or _text_shown(session, reviewer, cell.text_id)


def shown_among(session: AnySession, reviewer: str, text_id: int, cells: Sequence[CellKey]) -> list[CellKey]:
    """Those of a text's cells of which `was_shown` holds, in two queries."""
    if _text_shown(session, reviewer, text_id):
        return list(cells)
    found = session.execute(_CELLS_SHOWN, {"text_id": text_id, "reviewer": reviewer, "action": ACTION})
    known = {(question, option) for question, option in found}  # rows are no pairs to mypy
    return [cell for cell in cells if (cell.question_id, cell.option_id) in known]


def _text_shown(session: AnySession, reviewer: str, text_id: int) -> bool:
    parameters = {"text_id": text_id, "reviewer": reviewer, "action": TEXTS_ACTION}
    return bool(session.scalar(_TEXT_SHOWN, parameters))
