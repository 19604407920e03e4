"""What the API says of audit samples: plan, progress, the next text, the result."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.audits.schemas import Purpose, Role
from app.http.schemas import AnswerModel


class AuditStratum(AnswerModel):
    """A band of the score, the least suspicious first; one for a random sample."""

    texts: int = Field(description="N_h.")
    drawn: int = Field(description="n_h.")
    inclusion: float = Field(description="π = n_h / N_h.")


class Certifiable(AnswerModel):
    """What reading can say of one kind of label if it finds no error at all."""

    option: str
    value: Literal["yes", "no"]
    labels: int = Field(description="Such labels in the frame.")
    read: int = Field(description="Of these about so many are read.")
    possible: int = Field(description="So many could then still be wrong (95 %, one-sided).")
    not_certifiable: str | None = Field(
        description="Why the share asked for cannot be certified at this budget; null: it can."
    )


class ExpectedInterval(AnswerModel):
    """An interval that such a sample would give."""

    wrong: float = Field(description="Wrong labels supposed.")
    low: float
    high: float
    basis: Literal["supposed", "suspicion"] = Field(
        description="supposed: at this share of wrong labels, spread at random; suspicion: were the ranking's suspicion right, which nobody "
        "knows before the sample is read."
    )


class StoppingCost(AnswerModel):
    """What one look costs, told beforehand."""

    at_most: int
    alpha: float
    looks: int
    look: int
    remainder: int = Field(description="Texts that reviews have not decided, |U|.")
    reads_needed: list[tuple[int, int | None]] = Field(
        description="(wrong texts found, texts to read in this look to stop all the same); null: not even reading all."
    )
    chance_to_stop: list[tuple[int, float]] = Field(
        description="(wrong texts left in truth, chance that this look stops)."
    )


class AuditPlan(AnswerModel):
    """What a sample would cost and could say. Nothing was stored."""

    corpus_id: str
    purpose: Purpose
    design: Literal["random", "stratified"]
    options: list[str]
    frame: int = Field(description="Texts that can be drawn.")
    cells: int = Field(description="Labels in question among them.")
    size: int
    readings: int = Field(
        description="Texts times readers; an adjudicator's come on top, for what the two differ on."
    )
    strata: list[AuditStratum]
    certifiable: list[Certifiable]
    intervals: list[ExpectedInterval]
    stopping: StoppingCost | None
    warnings: list[str]


class ReaderProgress(AnswerModel):
    """How far one person is."""

    name: str
    role: Role
    read: int
    not_blind: int = Field(
        description="Readings of texts of which this person had been shown labels or probabilities, or on which they had decided, before."
    )


class AuditProgress(AnswerModel):
    """How far the reading is; never what it finds."""

    texts: int
    unread: int = Field(description="Readings still to be made, over all readers.")
    disputes: int = Field(description="Texts that wait for the adjudicator.")
    people: list[ReaderProgress]


class AuditSampleAnswer(AnswerModel):
    """An audit sample. What it found is in `/result`, once it is closed."""

    id: str = Field(examples=["aud_01k3zq5w0v8n2m4c6x7y9abc"])
    corpus_id: str
    name: str
    purpose: Purpose
    state: Literal["reading", "closed"]
    design: Literal["random", "stratified"]
    size: int
    frame: int
    cells: int
    seed: int
    options: list[str]
    readers: int
    adjudicator: bool
    strata: list[AuditStratum]
    snapshot_id: str = Field(description="The given labels that are audited.")
    ranking_id: str | None
    plan_id: str | None = Field(description="The first sample of its stopping plan.")
    look: int | None
    at_most: int | None
    alpha: float | None
    looks_declared: int
    seal: str = Field(
        description="sha256 of the sealed document, fixed when it was drawn; `/seal` gives the document once it is closed."
    )
    created_by: str | None
    sealed_at: datetime
    closed_at: datetime | None
    released_at: datetime | None
    progress: AuditProgress


class AnswerChoice(AnswerModel):
    """An option that can be answered."""

    key: str
    name: str
    definition: str


class AskedCell(AnswerModel):
    """One thing to decide, in the codebook's words."""

    key: str
    question: str
    question_name: str
    definition: str
    name: str
    choices: list[AnswerChoice] = Field(
        description="Of a choose_one question; empty where the answer is yes or no."
    )
    value: str | None = Field(
        None, description="Your own earlier value, where you look at your reading again."
    )


class BlindText(AnswerModel):
    """A text to be read, with nothing but the codebook's words."""

    text_id: str
    external_id: str
    place: int = Field(description="In the order of reading, from 1.")
    content: str
    cells: list[AskedCell]
    note: str = ""
    shown_before: bool = Field(
        description="You have been shown labels or probabilities of this text, or have decided on it: your reading will count as not blind."
    )


class NextText(AnswerModel):
    """The next text for whoever asks."""

    role: Role
    text: BlindText | None = Field(description="null: nothing is left for you to read.")
    progress: AuditProgress


class ReadingAnswer(AnswerModel):
    """A reading as it was recorded."""

    text_id: str
    role: Role
    blind: bool
    progress: AuditProgress


class AuditRelease(AnswerModel):
    """What became of the settled values."""

    reviews: int = Field(description="Settled values that became reviews.")
    corrections: int = Field(description="Of these, values that differ from the given label.")
    filled: int = Field(
        description="Of these, values of cells that had no label, such as those on which annotators tie."
    )
    kept: int = Field(description="Cells that a review had decided meanwhile: left as they are.")
    contradicted: int = Field(description="Of these, decided otherwise than the audit settled them.")
