"""The scheme as plain values: questions, their options, cells and dependencies. Imports nothing but numpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISSING, NO, YES, UNCERTAIN, NOT_APPLICABLE = -1, 0, 1, 2, 3
"""Codes of one annotator's value for an option. Blank is MISSING, never NO. Training sees UNCERTAIN and NOT_APPLICABLE as MISSING."""

Labels = NDArray[np.int8]
"""Label matrix: int8 (texts, options) in the scheme's option order; YES, NO or MISSING. A choose_one question is one-hot or all MISSING."""


class QuestionKind(StrEnum):
    """How a question is answered."""

    YES_NO_SET = "yes_no_set"
    CHOOSE_ONE = "choose_one"


@dataclass(frozen=True, slots=True)
class Option:
    """One label. `position` is its column in every array of the corpus; positions are only ever appended."""

    key: str
    position: int
    name: str = ""
    definition: str = ""
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the codebook with its options in order."""

    key: str
    kind: QuestionKind
    options: tuple[Option, ...]
    name: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """`option` can be yes only where at least one of `needs_any` is yes ("no argument without a speaker")."""

    option: str
    needs_any: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing a person decides about a text: an option of a yes_no_set, or a whole choose_one question (option None)."""

    question: str
    option: str | None
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A codebook version. Option keys are unique in the whole scheme."""

    questions: tuple[Question, ...]
    dependencies: tuple[Dependency, ...] = ()

    @property
    def options(self) -> tuple[Option, ...]:
        """Every option by position: the column order of labels and probabilities."""
        return tuple(sorted((o for q in self.questions for o in q.options), key=lambda o: o.position))

    @property
    def option_keys(self) -> tuple[str, ...]:
        """Keys in column order."""
        return tuple(option.key for option in self.options)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of one text, in the order of suspicion arrays."""
        found: list[Cell] = []
        for question in self.questions:
            if question.kind is QuestionKind.CHOOSE_ONE:
                found.append(Cell(question.key, None, tuple(o.position for o in question.options)))
            else:
                found.extend(Cell(question.key, o.key, (o.position,)) for o in question.options)
        return tuple(sorted(found, key=lambda cell: cell.positions[0]))

    def question_of(self, option_key: str) -> Question:
        """The question that an option belongs to; KeyError when there is none."""
        for question in self.questions:
            if any(option.key == option_key for option in question.options):
                return question
        raise KeyError(option_key)

    def to_document(self) -> dict[str, Any]:
        """JSON form, as stored in Postgres and in adapter manifests."""
        return asdict(self)

    @staticmethod
    def from_document(document: dict[str, Any]) -> Scheme:
        """Inverse of `to_document`."""
        questions = tuple(
            Question(
                key=q["key"],
                kind=QuestionKind(q["kind"]),
                options=tuple(Option(**option) for option in q["options"]),
                name=q.get("name", ""),
                definition=q.get("definition", ""),
            )
            for q in document["questions"]
        )
        dependencies = tuple(
            Dependency(d["option"], tuple(d["needs_any"])) for d in document.get("dependencies", ())
        )
        return Scheme(questions, dependencies)
