"""Decisions of people as a ranking uses them: which cells they settle, and what blind ones of the queue say of suspicion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sqlalchemy import text

from app.corpora.codebook import Codebook
from app.db.session import AnySession
from app.review.queries import settled_cells
from app.review.rules import OUTSIDE
from models.audit.learned import Decided
from models.scheme import Scheme

# A reviewer's first vote at a disagreement; what was decided for an audit sample belongs to that sample alone.
_BLIND = text(
    """SELECT DISTINCT ON (r.disagreement_id, r.reviewer) q.key AS question, o.key AS option, d.suspicion, d.human_value, r.value
    FROM reviews r JOIN disagreements d ON d.id = r.disagreement_id JOIN rankings k ON k.id = d.ranking_id
    JOIN questions q ON q.id = d.question_id LEFT JOIN options o ON o.id = d.option_id
    WHERE r.corpus_id = :corpus AND r.audit_sample_id IS NULL AND r.value IS NOT NULL
        AND r.shown ->> 'blind' = 'true' AND d.suspicion IS NOT NULL AND d.suspicion <> 'NaN'
        AND NOT EXISTS (SELECT FROM reviews u WHERE u.undoes = r.id)
    ORDER BY r.disagreement_id, r.reviewer, r.id"""
)
_AUDITED = text("SELECT id FROM reviews WHERE corpus_id = :corpus AND audit_sample_id IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Settled cells and blind decisions of a corpus."""

    settled: list[tuple[int, str, str | None]]
    """(text id, question key, option key or None)."""
    by_audit: frozenset[tuple[int, str, str | None]]
    """Those of them that a released audit sample settled."""
    blind: list[tuple[str, str | None, float, bool]]
    """(question key, option key or None, suspicion, whether the decision differs from the given value)."""


def reviewed_cells(session: AnySession, corpus_id: str, codebook: Codebook) -> Reviewed:
    """Everything that people decided."""
    from_audits = set(session.scalars(_AUDITED, {"corpus": corpus_id}))
    cells = settled_cells(session, corpus_id, codebook)
    return Reviewed(
        settled=[(cell.text_id, cell.question, cell.option) for cell in cells],
        by_audit=frozenset(
            (cell.text_id, cell.question, cell.option) for cell in cells if cell.review_id in from_audits
        ),
        blind=[
            (row.question, row.option, float(row.suspicion), row.value != row.human_value)
            for row in session.execute(_BLIND, {"corpus": corpus_id})
            if row.value not in OUTSIDE
        ],
    )


def decided_blind(reviewed: Reviewed, scheme: Scheme) -> Decided:
    """The blind decisions on cells of a scheme, as arrays."""
    place = {(cell.question, cell.option): number for number, cell in enumerate(scheme.cells)}
    rows = [(s, place[q, o], wrong) for q, o, s, wrong in reviewed.blind if (q, o) in place]
    return Decided(
        np.array([s for s, _, _ in rows], dtype=np.float64),
        np.array([cell for _, cell, _ in rows], dtype=np.int64),
        np.array([wrong for _, _, wrong in rows], dtype=np.bool_),
    )
