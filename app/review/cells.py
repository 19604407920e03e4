"""One disagreement with all that belongs to its cell: the text, the codebook's words, the history, the claim, and the ETag."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row

from app.corpora.codebook import Codebook, load_codebook
from app.db.session import AnySession
from app.http.etags import etag_of
from app.http.problems import NotFound
from app.http.security import Principal, check_scope
from app.ids import number_of
from app.review import claims
from app.review.claims import LiveClaim
from app.review.rules import CellKey, Decision, State, has_voted, in_force, state_of, still_settled
from models.scheme import Question

_FIND = text(
    """SELECT d.*, k.run_id, k.corpus_id, k.score_names, t.external_id, t.metadata, t.groups, t.ordinal, t.current_version_id,
        v.content, v.sha256, d.text_version_id <> t.current_version_id AS text_changed,
        l.consensus_method, l.blob_digest AS labels_blob
    FROM disagreements d JOIN rankings k ON k.id = d.ranking_id JOIN label_snapshots l ON l.id = k.snapshot_id JOIN texts t ON t.id = d.text_id
    JOIN text_versions v ON v.id = t.current_version_id WHERE d.id = :id"""
)
_HISTORY = text(
    """SELECT r.*, v.sha256 FROM reviews r LEFT JOIN text_versions v ON v.id = r.text_version_id
    WHERE r.text_id = :text_id AND r.question_id = :question_id
    AND r.option_id IS NOT DISTINCT FROM CAST(:option_id AS bigint) ORDER BY r.id"""
)
# taken first, so that of two edits at once the second sees the first one's ETag
_LOCK = text(
    "SELECT t.id FROM texts t JOIN disagreements d ON d.text_id = t.id WHERE d.id = :id FOR NO KEY UPDATE OF t"
)


@dataclass(frozen=True, slots=True)
class CellView:
    """A disagreement and the present state of its cell."""

    row: Row[Any]
    """The disagreement's columns, its run, corpus and text."""
    codebook: Codebook
    question: Question
    option_key: str | None
    definition_digest: str
    history: tuple[Decision, ...]
    claim: LiveClaim | None

    @property
    def key(self) -> CellKey:
        """The cell's row ids."""
        return CellKey(self.row.text_id, self.row.question_id, self.row.option_id)

    @property
    def decision(self) -> Decision | None:
        """The decision in force."""
        return in_force(self.history)

    @property
    def settled(self) -> bool:
        """Whether that decision still speaks of this text and this definition."""
        return still_settled(self.decision, self.row.sha256, self.definition_digest)

    @property
    def etag(self) -> str:
        """Changes with every decision and undo, with the text's content and with the codebook's definition."""
        last = self.history[-1].id if self.history else 0
        content = f"{last} {self.row.current_version_id} {self.definition_digest}"
        return etag_of(sha256(content.encode()).hexdigest()[:20])

    def voted(self, reader: str) -> bool:
        """Whether a reader has ever voted here."""
        return has_voted(self.history, reader)

    def state(self, reader: str) -> State:
        """The cell's state as one reader meets it."""
        return state_of(self.settled, None if self.claim is None else self.claim.reviewer, reader)


def find_cell(
    session: AnySession, disagreement_id: str, caller: Principal, *, lock: bool = False
) -> CellView:
    """The cell of `dis_…`; NotFound when there is none that this key reaches. With `lock` other edits of the text's cells wait."""
    number = number_of("dis", disagreement_id)
    if lock and number is not None:
        session.execute(_LOCK, {"id": number})
    row = None if number is None else session.execute(_FIND, {"id": number}).first()
    if row is None:
        raise NotFound(f"There is no disagreement {disagreement_id[:60]}.", field="disagreement_id")
    check_scope(caller, row.corpus_id)
    codebook = load_codebook(session, row.corpus_id)
    question = codebook.question(row.question_id)
    option_key = codebook.option_key(row.option_id)
    key = CellKey(row.text_id, row.question_id, row.option_id)
    return CellView(
        row=row,
        codebook=codebook,
        question=question,
        option_key=option_key,
        definition_digest=codebook.definitions().get((row.question_id, row.option_id), ""),
        history=tuple(_decision(r) for r in session.execute(_HISTORY, key.parameters())),
        claim=claims.live(session, key),
    )


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        value=row.value,
        reviewer=row.reviewer,
        at=row.created_at,
        undoes=row.undoes,
        note=row.note,
        shown=row.shown,
        text_sha256=row.sha256 or b"",
        definition_digest=row.definition_digest,
    )
