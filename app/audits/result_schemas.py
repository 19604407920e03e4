"""What a closed audit sample says; stored with its look as it was computed, and never computed again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.audits.answers import AuditStratum
from app.audits.schemas import Purpose
from app.http.schemas import AnswerModel


class ErrorInterval(AnswerModel):
    """A total with its 95 % interval."""

    total: float
    low: float
    high: float


class NaiveNumbers(AnswerModel):
    """Numbers that are easily had and claim nothing: beside the estimate, for comparison."""

    share: float | None = Field(description="Wrong among the labels read, as if all had the same chance.")
    total: float | None = Field(description="That share of all labels.")
    suspicion: float | None = Field(
        description="The sum of the ranking's suspicion: agreement with a model, not truth."
    )


class ErrorEstimate(AnswerModel):
    """How many labels (or texts) of the frame are wrong."""

    labels: int = Field(description="In the frame.")
    read: int = Field(description="In the sample.")
    found: int = Field(description="Found wrong.")
    skipped: int = Field(description="Skipped, undecided or left in dispute.")
    total: float = Field(description="Estimated wrong ones; skipped ones count as wrong.")
    standard_error: float
    low: float = Field(description="95 % interval; the lower end takes skipped ones as right.")
    high: float
    share: float
    share_low: float
    share_high: float
    total_without_skips: float
    slope: float = Field(
        description="How far the ranking's suspicion was believed (λ): 0 where it says nothing."
    )
    plain: ErrorInterval = Field(description="From the sample alone, without the ranking's suspicion.")
    naive: NaiveNumbers


class AuditValueResult(AnswerModel):
    """Of the labels with one value of an option."""

    value: Literal["yes", "no"]
    estimate: ErrorEstimate
    not_certifiable: str | None = Field(
        description="Why the share asked for could not have been certified at this budget."
    )


class AuditOptionResult(AnswerModel):
    """Of one option; of a choose_one question, of the answer as a whole and by the option given."""

    key: str
    question: str
    estimate: ErrorEstimate | None = Field(
        description="null for an option of a choose_one question: see the question."
    )
    values: list[AuditValueResult]


class ReaderSensitivity(AnswerModel):
    """A share of trials with its Wilson interval."""

    value: float
    low: float
    high: float
    count: int


class TwoReaders(AnswerModel):
    """What two blind readers say of each other."""

    cells: int = Field(description="Cells that both decided.")
    agreement: float | None
    kappa: float | None = Field(description="Cohen's, of “differs from the given label”.")
    disputes: int
    adjudicated: int
    sensitivity: list[ReaderSensitivity] | None = Field(
        description="Of the first and the second reader; null below ten confirmed errors or without an adjudicator."
    )
    together: float | None = Field(description="Of both together, were they independent.")
    missed: float | None = Field(
        description="Wrong labels of the sample that neither saw (Chapman), were they independent."
    )
    corrected: ErrorInterval | None = Field(
        description="The total corrected for what both overlook (Rogan and Gladen): a line of its own, never in place of the total."
    )


class AuditStratumResult(AuditStratum):
    """What was found in one band."""

    read: int = Field(description="Labels read.")
    found: int
    skipped: int
    wrong_texts: int


class StoppingResult(AnswerModel):
    """The decision of one look."""

    look: int
    looks_declared: int
    looks_left: int
    at_most: int
    alpha: float
    alpha_per_look: float
    remainder: int
    read: int
    wrong: int
    skipped: int
    p_value: float
    stop: bool
    certified: int = Field(
        description="The fewest wrong texts left that this look alone certifies, at its share of alpha."
    )
    earlier_plans: int = Field(
        0,
        description="Stopping plans of this corpus that were declared before this one, whatever became of them: each spends an alpha of its own.",
    )


class AnnotatorHeld(AnswerModel):
    """One annotator or team beside the settled values of the drawn texts."""

    name: str
    team: str | None = Field(None, description="Of an annotator: where all of their labels name the same.")
    texts: int = Field(description="Drawn texts of which a label was judged.")
    labels: int = Field(description="Labels given on the drawn texts, of the options that were read.")
    read: int = Field(description="Of these, those with a settled value that was read blind.")
    differ: int = Field(description="Of these, those that differ from it.")
    share: float | None = Field(
        description="Estimated share of their labels that differ, over all texts that could be drawn: weighted by 1/π; null with a `reason`."
    )
    low: float | None = Field(description="95 % interval.")
    high: float | None
    reason: str | None = Field(description="Why there is no share.")


class AnnotatorsHeld(AnswerModel):
    """Annotators and teams held against what the sample settled, from the sample alone."""

    annotators: list[AnnotatorHeld]
    teams: list[AnnotatorHeld]
    notes: list[str] = Field(description="What the numbers are and are not.")


class AuditResult(AnswerModel):
    """The result of a closed audit sample."""

    audit_sample_id: str
    name: str
    purpose: Purpose
    snapshot_id: str
    ranking_id: str | None
    seal: str
    drawn: int
    frame: int
    readings: int
    unread: int = Field(0, description="Readings that were never made and declared skipped.")
    not_blind: int = Field(
        description="Readings by people who had been shown labels or probabilities of the text, or had decided on them, before."
    )
    labels: ErrorEstimate = Field(description="All options that were read, pooled.")
    texts: ErrorEstimate = Field(description="Texts with at least one wrong label.")
    options: list[AuditOptionResult]
    strata: list[AuditStratumResult]
    two_readers: TwoReaders | None
    stopping: StoppingResult | None
    annotators: AnnotatorsHeld | None = Field(
        None,
        description="null where nobody had annotated the drawn texts, and in results of before this was told.",
    )
    words: list[str] = Field(description="The result in sentences that claim no more than is known.")
