"""The newest codebook of a corpus: its scheme, the row ids of its questions and options, and digests of its definitions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import select

from app.db.session import AnySession
from app.db.tables import Option, Question, SchemeVersion
from app.http.problems import Conflict
from models.scheme import Cell, Scheme
from models.scheme import Question as SchemeQuestion


@dataclass(frozen=True, slots=True)
class Codebook:
    """A corpus's newest scheme version and the ids its rows are stored under."""

    version: int
    digest: str
    scheme: Scheme
    question_ids: dict[str, int]
    option_ids: dict[str, int]

    def question(self, question_id: int) -> SchemeQuestion:
        """The question with a row id; KeyError when the newest scheme does not have it."""
        keys = {number: key for key, number in self.question_ids.items()}
        return next(q for q in self.scheme.questions if q.key == keys[question_id])

    def option_key(self, option_id: int | None) -> str | None:
        """The key of the option with a row id; None for None (a choose_one cell)."""
        return next((key for key, number in self.option_ids.items() if number == option_id), None)

    def cell_ids(self, cell: Cell) -> tuple[int, int | None]:
        """(question id, option id or None) of a cell."""
        return self.question_ids[cell.question], None if cell.option is None else self.option_ids[cell.option]

    def definitions(self) -> dict[tuple[int, int | None], str]:
        """`definition_digest` of every cell by (question id, option id or None)."""
        questions = {question.key: question for question in self.scheme.questions}
        return {
            self.cell_ids(cell): definition_digest(questions[cell.question], cell.option)
            for cell in self.scheme.cells
        }


def load_codebook(session: AnySession, corpus_id: str) -> Codebook:
    """The newest codebook; Conflict when the corpus has no scheme yet."""
    newest = session.scalars(
        select(SchemeVersion)
        .where(SchemeVersion.corpus_id == corpus_id)
        .order_by(SchemeVersion.version.desc())
        .limit(1)
    ).first()
    if newest is None:
        raise Conflict(
            "The corpus has no scheme yet: import labels or give it one first.",
            field="corpus",
            slug="no-scheme",
        )
    questions = session.execute(select(Question.key, Question.id).where(Question.corpus_id == corpus_id))
    options = session.execute(select(Option.key, Option.id).where(Option.corpus_id == corpus_id))
    return Codebook(
        version=newest.version,
        digest=newest.digest,
        scheme=Scheme.from_document(newest.document),
        question_ids={row.key: row.id for row in questions},
        option_ids={row.key: row.id for row in options},
    )


def definition_digest(question: SchemeQuestion, option_key: str | None) -> str:
    """sha256 (hex) of what a cell's codebook entry says: its question's and its option's definition, for choose_one every option's.

    Names are left out: a new spelling of a label does not reopen what people decided, a new definition does.
    """
    options = [[o.key, o.definition] for o in question.options if option_key is None or o.key == option_key]
    content = json.dumps([question.kind, question.definition, sorted(options)], ensure_ascii=False)
    return sha256(content.encode()).hexdigest()
