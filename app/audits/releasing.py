"""What the settled values of a closed sample become: reviews that name it. Cells that reviews decided meanwhile are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, text

from app.audits.answers import AuditRelease
from app.audits.cells import ReadCell, decided, differs
from app.audits.queries import scheme_of
from app.audits.readings import counting_rows, load_readings, seats
from app.audits.rules import spoken
from app.audits.settled import Settled, cells_of, settled
from app.audits.settlement import disputed
from app.blobs import BlobStore
from app.corpora.codebook import definition_digest, load_codebook
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog, AuditSample, Review
from app.http.problems import Conflict
from app.review.queries import settled_cells
from models.scheme import MISSING

# as who decides a cell locks its text: else a decision made at this moment would be overruled
_LOCK_TEXTS = text(
    """SELECT t.id FROM texts t JOIN audit_sample_texts s ON s.text_id = t.id WHERE s.audit_sample_id = :sample
    ORDER BY t.id FOR NO KEY UPDATE OF t"""
)


@dataclass(frozen=True, slots=True)
class _Decided:
    """One settled cell."""

    text_id: int
    text_version_id: int
    cell: ReadCell
    value: str
    by: str
    """The reader; where two differed, the adjudicator."""
    had_label: bool
    """The sample's snapshot had a label for it; where annotators tie there is none."""
    differs: bool
    """From that label."""


def release(session: WriteSession, sample: AuditSample, blobs: BlobStore, actor: str) -> AuditRelease:
    """Make reviews of the settled values of a sample that was read with `lock`; cells that reviews decided meanwhile are left alone.

    Raises:
        Conflict: it is not closed yet, or was released before.
    """
    if sample.state != "closed":
        raise Conflict(
            "Outcomes may steer the queue only after the decision: close the audit sample first.",
            slug="audit-sample-open",
        )
    if sample.released_at is not None:
        raise Conflict("This audit sample was released already.", slug="audit-sample-released")
    session.execute(_LOCK_TEXTS, {"sample": sample.id})
    rows, answer = _reviews(session, sample, blobs)
    if rows:
        session.execute(insert(Review), rows)
    sample.released_at = datetime.now(UTC)
    detail = answer.model_dump()
    session.add(AuditLog(actor=actor, action="audit-sample.release", object_id=sample.id, detail=detail))
    session.flush()
    return answer


def _reviews(
    session: AnySession, sample: AuditSample, blobs: BlobStore
) -> tuple[list[dict[str, Any]], AuditRelease]:
    """Rows of reviews, one for each settled cell that no review has decided, and how many became what."""
    found = settled(session, sample.id, blobs)
    standing = _standing(session, sample, found)
    cells = _decided(session, sample, found)
    free = [one for one in cells if _place(one) not in standing]
    kept = [(one.value, standing[_place(one)]) for one in cells if _place(one) in standing]
    answer = AuditRelease(
        reviews=len(free),
        corrections=sum(one.differs for one in free),
        filled=sum(not one.had_label for one in free),
        kept=len(kept),
        contradicted=sum(value != other for value, other in kept),
    )
    return _rows(session, sample, free), answer


def _standing(
    session: AnySession, sample: AuditSample, found: Settled
) -> dict[tuple[int, str, str | None], str]:
    """What reviews have decided of the sample's texts, by (text, question, option)."""
    codebook = load_codebook(session, sample.corpus_id)
    cells = settled_cells(session, sample.corpus_id, codebook, found.text_ids.tolist())
    return {(cell.text_id, cell.question, cell.option): cell.value for cell in cells}


def _place(one: _Decided) -> tuple[int, str, str | None]:
    return one.text_id, one.cell.question, one.cell.option


def _decided(session: AnySession, sample: AuditSample, found: Settled) -> list[_Decided]:
    cells, people = cells_of(session, sample), seats(session, sample.id)
    argued = disputed(load_readings(session, sample, found.text_ids.tolist()), cells)
    had_label = decided(found.given, cells)
    corrected = had_label & differs(found.truth, found.given, cells)
    rows = []
    for at, values in enumerate(found.truth.tolist()):
        codes = [None if code == MISSING else code for code in values]
        for place, cell in enumerate(cells):
            value = spoken(codes, cell, sample.option_keys)
            if value is not None:
                by = people.adjudicator if argued[at, place] else people.readers[0]
                assert by is not None  # a dispute is settled by its adjudicator alone
                where = (int(found.text_ids[at]), int(found.text_version_ids[at]))
                rows.append(_Decided(*where, cell, value, by, bool(had_label[at, place]), bool(corrected[at, place])))  # fmt: skip
    return rows


def _rows(session: AnySession, sample: AuditSample, cells: Sequence[_Decided]) -> list[dict[str, Any]]:
    scheme, codebook = scheme_of(session, sample), load_codebook(session, sample.corpus_id)
    questions = {question.key: question for question in scheme.questions}
    shown = {(row["text_id"], row["reader"]): row["shown"] for row in counting_rows(session, sample.id)}
    return [
        {
            "corpus_id": sample.corpus_id,
            "text_id": one.text_id,
            "text_version_id": one.text_version_id,
            "question_id": codebook.question_ids[one.cell.question],
            "option_id": None if one.cell.option is None else codebook.option_ids[one.cell.option],
            "value": one.value,
            "reviewer": one.by,
            "audit_sample_id": sample.id,
            "shown": {
                "blind": one.cell.key not in shown[one.text_id, one.by],
                "ranking": sample.ranking_id,
                "audit_sample": sample.id,
            },
            "scheme_version": sample.scheme_version,
            "definition_digest": definition_digest(questions[one.cell.question], one.cell.option),
        }
        for one in cells
    ]
