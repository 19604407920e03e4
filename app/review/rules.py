"""Pure rules of review: which value fits a cell, which decision is in force, when a settled cell is open again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.http.problems import Invalid
from models.scheme import Question, QuestionKind

OUTSIDE = ("uncertain", "not_applicable")
"""Decisions that leave a cell without a label: settled, and missing in every snapshot."""

State = Literal["open", "claimed", "settled"]


@dataclass(frozen=True, slots=True)
class CellKey:
    """The row ids of a cell; `option_id` None for a whole choose_one question."""

    text_id: int
    question_id: int
    option_id: int | None

    def parameters(self) -> dict[str, int | None]:
        """As bound parameters."""
        return {"text_id": self.text_id, "question_id": self.question_id, "option_id": self.option_id}


@dataclass(frozen=True, slots=True)
class Decision:
    """A review row, or an undo of one (`undoes` set, `value` None)."""

    id: int
    value: str | None
    reviewer: str
    at: datetime
    undoes: int | None
    note: str = ""
    shown: dict[str, Any] | None = None
    text_sha256: bytes = b""
    definition_digest: str = ""


def in_force(history: Sequence[Decision]) -> Decision | None:
    """The newest decision that is neither an undo nor undone; None when there is none."""
    undone = {decision.undoes for decision in history}
    standing = [d for d in history if d.undoes is None and d.id not in undone]
    return max(standing, key=lambda decision: decision.id, default=None)


def has_voted(history: Sequence[Decision], reader: str) -> bool:
    """Whether a reader has ever voted on the cell: a vote that was undone cannot be made blind again."""
    return any(decision.value is not None and decision.reviewer == reader for decision in history)


def still_settled(decision: Decision | None, text_sha256: bytes, definition_digest: str) -> bool:
    """Whether a cell is settled: decided, and neither the text's content nor the codebook's definition has changed since."""
    return (
        decision is not None
        and decision.text_sha256 == text_sha256
        and decision.definition_digest == definition_digest
    )


def state_of(settled: bool, claimed_by: str | None, reader: str) -> State:
    """settled before claimed before open; one's own claim leaves a cell open to oneself."""
    if settled:
        return "settled"
    return "open" if claimed_by is None or claimed_by == reader else "claimed"


def values_of(question: Question, option_key: str | None) -> tuple[str, ...]:
    """The values a cell can be decided to."""
    if option_key is not None:
        return ("yes", "no", *OUTSIDE)
    return (*(option.key for option in question.options if not option.retired), *OUTSIDE)


def check_value(question: Question, option_key: str | None, value: str) -> str:
    """The value, if it fits the cell's kind; Invalid naming /value and what would fit."""
    allowed = values_of(question, option_key)
    if value in allowed:
        return value
    listed = ", ".join(allowed)
    if question.kind is QuestionKind.CHOOSE_ONE:
        detail = f"“{value}” is no option of the question “{question.key}”: choose one of {listed}."
    else:
        detail = (
            f"“{value}” does not fit “{option_key}”, which is decided on its own: choose one of {listed}."
        )
    raise Invalid(detail, field="/value", allowed=list(allowed))
