"""Decisions: a review or an undo is appended; nothing is ever changed or removed."""

from __future__ import annotations

from typing import Any

from app.db.session import WriteSession
from app.db.tables import Review
from app.http.problems import Conflict, Forbidden
from app.http.security import Principal
from app.review import claims, evidence, sightings
from app.review.cells import CellView
from app.review.rules import check_value


def decide(
    session: WriteSession, view: CellView, caller: Principal, value: str, note: str, *, force: bool = False
) -> Review:
    """Append a decision on a cell that was read with `find_cell(lock=True)` and whose ETag was checked.

    Raises Invalid for a value that does not fit the cell, Conflict while another reviewer's claim is in force (unless `force`).
    """
    check_value(view.question, view.option_key, value)
    if not force:
        claims.check_free(session, view.key, caller.name)
    review = Review(
        **_cell(view, caller),
        value=value,
        note=note,
        shown=shown(session, view, caller.name),
    )
    session.add(review)
    session.flush()
    claims.end(session, view.key, caller.name)
    return review


def undo(session: WriteSession, view: CellView, caller: Principal, note: str = "") -> Review:
    """Append an undo of the decision in force; what stood before it is in force again.

    Raises Conflict when nothing is in force, Forbidden for another reviewer's decision (an admin may; others decide anew instead).
    """
    decision = view.decision
    if decision is None:
        raise Conflict("Nothing has been decided here, so there is nothing to undo.", slug="nothing-to-undo")
    if decision.reviewer != caller.name and caller.role != "admin":
        raise Forbidden(
            f"This was decided by {decision.reviewer}: decide anew instead, or ask them or an admin to undo it."
        )
    row = Review(**_cell(view, caller), value=None, note=note, undoes=decision.id)
    session.add(row)
    session.flush()
    return row


def shown(session: WriteSession, view: CellView, reviewer: str) -> dict[str, Any]:
    """What this server had shown the reviewer of the cell before the decision: `blind`, and, if not blind, the model's probability and the annotators."""
    row = view.row
    if not sightings.was_shown(session, reviewer, view.key):
        return {"blind": True, "ranking": row.ranking_id}
    return {
        "blind": False,
        "ranking": row.ranking_id,
        "probability": round(float(row.probability), 6),
        "human_value": row.human_value,
        "model_value": row.model_value,
        "annotators": sorted({opinion.annotator for opinion in evidence.opinions(session, view)}),
    }


def _cell(view: CellView, caller: Principal) -> dict[str, Any]:
    row = view.row
    return {
        "corpus_id": row.corpus_id,
        "text_id": row.text_id,
        "text_version_id": row.current_version_id,
        "question_id": row.question_id,
        "option_id": row.option_id,
        "reviewer": caller.name,
        "reviewer_key_id": caller.key_id,
        "disagreement_id": row.id,
        "scheme_version": view.codebook.version,
        "definition_digest": view.definition_digest,
    }
