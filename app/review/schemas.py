"""Bodies and answers of the review endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.http.paging import Page
from app.http.schemas import AnswerModel, RequestModel

_HIDDEN = "Null while it is hidden from a blind reader."


class ReviewRequest(RequestModel):
    """A decision on a cell. Who decided and what they had been shown is recorded by the server."""

    value: str = Field(
        max_length=300,
        description="yes or no; for a choose_one question an option's key; uncertain; not_applicable.",
        examples=["yes"],
    )
    note: str = Field("", max_length=10_000, examples=["He regrets being caught, not the act."])


class ClaimAnswer(AnswerModel):
    """Who is at work on a cell."""

    reviewer: str
    expires_at: datetime


class ReviewAnswer(AnswerModel):
    """A decision, or the undo of one."""

    id: str = Field(examples=["rev_7"])
    value: str | None = Field(description="Null for an undo, or while it is hidden from a blind reader.")
    note: str
    reviewer: str
    at: datetime
    undoes: str | None = Field(None, description="The decision that this row takes back.")
    shown: dict[str, Any] = Field(
        default_factory=dict, description="What the server had shown the reviewer before they decided."
    )


class Disagreement(AnswerModel):
    """A cell whose human value is worth a second look: a flag is a reason to read it, not a claim that it is wrong."""

    id: str = Field(examples=["dis_42"])
    ranking_id: str
    position: int = Field(description="Place in the ranking, 1 the most suspicious.")
    text_id: str = Field(examples=["txt_17"])
    external_id: str
    text_changed: bool = Field(description="The text has a newer content than the one the model read.")
    question: str
    question_kind: Literal["yes_no_set", "choose_one"]
    option: str | None = Field(description="Null: the cell is the whole choose_one question.")
    state: Literal["open", "claimed", "settled"]
    blind: bool = Field(description="Whether values, probability and suspicion are hidden here.")
    human_value: str | None = Field(description=_HIDDEN)
    model_value: str | None = Field(description=_HIDDEN)
    probability: float | None = Field(description=f"The model's probability of the human value. {_HIDDEN}")
    suspicion: float | None = Field(
        description=f"How little the given value is to be expected: it orders, and is no probability of an error. {_HIDDEN}"
    )
    error_probability: float | None = Field(
        description=f"That the given value is wrong: claimed once a closed audit sample calibrates suspicion, null before. {_HIDDEN}"
    )
    scores: dict[str, float] | None = Field(
        description=f"Every score by name, the one that orders the ranking first; `order_by` takes any of them. {_HIDDEN}"
    )
    reason: Literal["flag", "decoy", "finding"] | None = Field(
        description="Why it is here: flagged, mixed in although nothing flags it, or named by a finding. Null until you have voted."
    )
    metadata: dict[str, Any]
    groups: dict[str, Any]
    review: ReviewAnswer | None = Field(description="The decision in force.")
    claim: ClaimAnswer | None


class DisagreementPage(Page[Disagreement]):
    """A page of a ranking."""

    ranking_id: str | None = Field(None, description="The ranking walked; null when there is none yet.")
    run_id: str | None = None


class OptionView(AnswerModel):
    """One option of the scheme on this text."""

    key: str
    name: str
    definition: str
    question: str
    value: str | None = Field(
        None, description=f"The value in force: yes, no, or null when missing. {_HIDDEN}"
    )
    probability: float | None = Field(None, description=_HIDDEN)
    threshold: float | None = Field(None, description="The adapter says yes from this probability on.")


class OpinionView(AnswerModel):
    """One annotator's value for the cell on one occasion."""

    annotator: str
    team: str | None
    annotated_at: datetime | None
    codebook_version: str
    source: str
    value: str | None = Field(description="Null where they left it blank.")
    earlier_text: bool = Field(description="Given to an earlier content of the text.")


class NeighbourView(AnswerModel):
    """A text beside this one in its file and group."""

    external_id: str
    content: str
    place: int = Field(description="-1 just before, 1 just after.")


class DisagreementDetail(Disagreement):
    """One disagreement with its text, the codebook's words and, unless blind, all that is known of the cell."""

    corpus_id: str
    run_id: str
    content: str
    question_name: str
    question_definition: str
    values: list[str] = Field(description="What the cell can be decided to.")
    options: list[OptionView]
    consensus_method: str = Field(
        description="By which the annotators' values became one: of the labels that the ranking was made on.",
        examples=["majority"],
    )
    annotations: list[OpinionView] | None = Field(description=_HIDDEN)
    history: list[ReviewAnswer] | None = Field(
        description=f"Every decision and undo, oldest first. {_HIDDEN}"
    )
    neighbours: list[NeighbourView]
    etag: str = Field(description="Also the ETag header: send it as If-Match.")
