"""Answers of the findings' endpoint."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.http.paging import Page
from app.http.schemas import AnswerModel
from app.ids import numbered
from app.review.findings import FindingRow
from app.review.rules import state_of


class FindingCell(AnswerModel):
    """A cell of a finding, which is decided as its disagreement is."""

    disagreement_id: str = Field(examples=["dis_42"])
    text_id: str
    question: str
    option: str | None
    human_value: str = Field(description="The value in force when the ranking was made.")
    review_value: str | None = Field(description="What was decided since.")
    state: Literal["open", "claimed", "settled"]


class Finding(AnswerModel):
    """Something wrong with labels that no model is needed for."""

    position: int
    kind: Literal["violation", "conflict"]
    text_id: str
    external_id: str
    other_text_id: str | None = Field(description="Of a conflict: the duplicate.")
    other_external_id: str | None
    option: str | None = Field(description="Of a violation: given as yes although nothing that it needs is.")
    needs_any: list[str] | None = Field(description="Of a violation: one of these would have to be yes.")
    likeness: Literal["exact", "near"] | None = Field(
        description="Of a conflict: equal but for case and white space, or nearly equal."
    )
    cells: list[FindingCell]


class FindingPage(Page[Finding]):
    """A page of a ranking's findings."""

    ranking_id: str | None = Field(None, description="The ranking walked; null when there is none yet.")
    violations: int = Field(0, description="In the whole ranking, decided or not.")
    conflicts: int = 0


def finding_answer(found: FindingRow, reader: str) -> Finding:
    """The API's form of a finding."""
    row, detail = found.row, found.row.detail
    return Finding(
        position=row.position,
        kind=row.kind,
        text_id=numbered("txt", row.text_id),
        external_id=row.external_id,
        other_text_id=None if row.other_text_id is None else numbered("txt", row.other_text_id),
        other_external_id=row.other_external_id,
        option=detail.get("option"),
        needs_any=detail.get("needs_any"),
        likeness=detail.get("likeness"),
        cells=[
            FindingCell(
                disagreement_id=numbered("dis", cell.id),
                text_id=numbered("txt", cell.text_id),
                question=cell.question,
                option=cell.option,
                human_value=cell.human_value,
                review_value=cell.review_value,
                state=state_of(cell.settled, cell.claimed_by, reader),
            )
            for cell in found.cells
        ],
    )
