"""Reviews in SQL: the decisions in force, and which of them still settle their cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.corpora.codebook import Codebook, load_codebook
from app.db.session import AnySession

IN_FORCE = """
    SELECT DISTINCT ON (r.text_id, r.question_id, r.option_id) r.*
    FROM reviews r
    WHERE r.corpus_id = :corpus AND (CAST(:texts AS bigint[]) IS NULL OR r.text_id = ANY(:texts)) AND r.undoes IS NULL
        AND NOT EXISTS (SELECT FROM reviews u WHERE u.undoes = r.id)
    ORDER BY r.text_id, r.question_id, r.option_id, r.id DESC
"""
"""The newest decision of each cell that is neither an undo nor undone; parameters :corpus and :texts (ids, or NULL for all)."""

DEFINITIONS = """
    SELECT * FROM unnest(CAST(:question_ids AS bigint[]), CAST(:option_ids AS bigint[]), CAST(:digests AS text[]))
        AS d(question_id, option_id, digest)
"""
"""The definition digest of every cell of the newest codebook; parameters by `definition_parameters`."""

_SETTLED = f"""
    WITH in_force AS ({IN_FORCE}), definitions AS ({DEFINITIONS})
    SELECT r.text_id, r.question_id, r.option_id, r.value, r.id, r.reviewer, r.created_at
    FROM in_force r
    JOIN definitions d ON d.question_id = r.question_id AND d.option_id IS NOT DISTINCT FROM r.option_id
        AND d.digest = r.definition_digest
    JOIN texts t ON t.id = r.text_id
    JOIN text_versions now ON now.id = t.current_version_id
    JOIN text_versions seen ON seen.id = r.text_version_id AND seen.sha256 = now.sha256
    ORDER BY r.text_id, r.question_id, r.option_id
"""  # noqa: S608  # built from this file's own constants


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled cell with the decision that settles it."""

    text_id: int
    question: str
    option: str | None
    """None: the cell is a whole choose_one question."""
    value: str
    review_id: int
    reviewer: str
    at: datetime


def settled_cells(
    session: AnySession,
    corpus_id: str,
    codebook: Codebook | None = None,
    text_ids: Sequence[int] | None = None,
) -> list[Settled]:
    """Every settled cell of a corpus (or of some of its texts), by text.

    A decision settles its cell until it is undone, or the text's content or the codebook's definition changes; a later ranking changes nothing.
    """
    book = codebook or load_codebook(session, corpus_id)
    rows = session.execute(text(_SETTLED), _parameters(corpus_id, book, text_ids))
    questions = {number: key for key, number in book.question_ids.items()}
    options = {number: key for key, number in book.option_ids.items()}
    return [
        Settled(
            text_id,
            questions[question],
            None if option is None else options[option],
            value,
            number,
            reviewer,
            at,
        )
        for text_id, question, option, value, number, reviewer, at in rows
    ]


def _parameters(corpus_id: str, codebook: Codebook, text_ids: Sequence[int] | None) -> dict[str, Any]:
    texts = None if text_ids is None else list(text_ids)
    return {"corpus": corpus_id, "texts": texts, **definition_parameters(codebook)}


def definition_parameters(codebook: Codebook) -> dict[str, Any]:
    """Parameters of DEFINITIONS."""
    cells = codebook.definitions()
    return {
        "question_ids": [question for question, _ in cells],
        "option_ids": [option for _, option in cells],
        "digests": list(cells.values()),
    }
