"""What the API says about how far annotators agree."""

from __future__ import annotations

from pydantic import Field

from app.http.schemas import AnswerModel


class VersionAnswer(AnswerModel):
    """A codebook version that annotations name."""

    name: str = Field(description="Empty where the annotations name none.")
    annotations: int
    texts: int
    annotators: int


class CoefficientAnswer(AnswerModel):
    """An agreement coefficient with its 95 % bootstrap interval by text."""

    value: float | None = Field(description="Null where it is not given; `reason` says why.")
    low: float | None
    high: float | None
    reason: str | None


class PairAnswer(AnswerModel):
    """Cohen's kappa of two annotators."""

    first: str
    second: str
    texts: int = Field(description="Texts that both answered.")
    kappa: CoefficientAnswer


class GroupAnswer(AnswerModel):
    """Agreement on one cell within a group of annotators who share enough texts."""

    group: int = Field(description="Place in `groups`.")
    texts: int = Field(description="Texts that at least two of them answered.")
    percent: float | None = Field(description="Share of pairs of answers to one text that agree.")
    alpha: CoefficientAnswer = Field(description="Krippendorff's alpha, nominal.")
    fleiss: CoefficientAnswer = Field(description="Fleiss' kappa.")
    pairs: list[PairAnswer]


class CellAnswer(AnswerModel):
    """Agreement on an option, or on a whole choose_one question."""

    question: str
    option: str | None = Field(description="Null: the whole choose_one question.")
    groups: list[GroupAnswer]


class AgreementAnswer(AnswerModel):
    """How far annotators agree with each other: not how far they are right. Reviews never enter."""

    corpus_id: str
    codebook_version: str | None = Field(description="Whose values these are; null without annotations.")
    codebook_versions: list[VersionAnswer] = Field(
        description="All there are, the newest first: values of different versions are never mixed."
    )
    annotators: list[str]
    shared: list[list[int]] = Field(
        description="Texts that both answered on the same option, in the order of `annotators`; the diagonal: their own."
    )
    groups: list[list[str]] = Field(description="Annotators connected by pairs that share at least 50 texts.")
    not_comparable: list[str]
    cells: list[CellAnswer]
