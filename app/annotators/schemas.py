"""What the API is asked and says about how far annotators agree."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BeforeValidator, Field, model_validator

from app.corpora.schemas import Filters
from app.http.schemas import AnswerModel, RequestModel, Time

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def _day(value: Any) -> Any:
    """A date alone is its beginning."""
    return f"{value}T00:00Z" if isinstance(value, str) and _DATE.fullmatch(value) else value


Moment = Annotated[Time, BeforeValidator(_day)]


class ValuesQuery(RequestModel):
    """Whose values on which texts."""

    codebook_version: str | None = Query(None, max_length=200, description="Default: the newest.")
    team: str | None = Query(None, max_length=200, description="Only values given by this team.")
    since: Moment | None = Query(
        None, description="Only values annotated at or after this time; a date alone is its beginning in UTC."
    )
    until: Moment | None = Query(
        None, description="Only values annotated before this time; a date alone is its beginning in UTC."
    )
    metadata: Filters = Query(default_factory=list)
    group: Filters = Query(default_factory=list)

    @property
    def filtered(self) -> bool:
        """Whether anything was asked for."""
        return any(value not in (None, []) for value in self.model_dump().values())

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, data: Any) -> Any:
        """An empty form field is none."""
        if not isinstance(data, dict):
            return data
        kept = {
            key: [item for item in value if item != ""] if isinstance(value, list) else value
            for key, value in data.items()
        }
        return {key: value for key, value in kept.items() if value != "" or key == "codebook_version"}


class VersionAnswer(AnswerModel):
    """A codebook version that annotations name."""

    name: str = Field(description="Empty where the annotations name none.")
    annotations: int
    texts: int
    annotators: int


class CoefficientAnswer(AnswerModel):
    """An agreement coefficient with its 95 % interval by text."""

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


class QualityAnswer(AnswerModel):
    """A share of right votes by the consensus: agreement with what people say together, not with the truth."""

    share: float = Field(
        description="Of an annotator or team: drawn to the team's or to all teams' where votes are few."
    )
    low: float
    high: float
    right: float = Field(description="Expected number of votes that the consensus calls right.")
    counted: int = Field(description="Votes on cells that somebody else answered, too; others tell nothing.")


class OptionQualityAnswer(AnswerModel):
    """The share on one option, or on a whole choose_one question; not drawn to anybody's."""

    question: str
    option: str | None
    quality: QualityAnswer | None = Field(description="Null below 50 votes that count.")


class PeriodAnswer(AnswerModel):
    """The share in one quarter or import; not drawn to anybody's."""

    period: str
    texts: int
    quality: QualityAnswer | None = Field(description="Null below 50 votes that count.")


class AnnotatorAnswer(AnswerModel):
    """One annotator."""

    name: str
    team: str | None = Field(description="The one that most of the annotations name.")
    group: int | None = Field(description="Place in `groups`; null: not comparable with anybody.")
    texts: int
    votes: int = Field(description="Values yes and no, an answer to a choose_one question option by option.")
    quality: QualityAnswer | None
    reason: str | None = Field(description="Why there is no quality.")
    options: list[OptionQualityAnswer]
    periods: list[PeriodAnswer]


class TeamAnswer(AnswerModel):
    """A team's members in one group."""

    name: str
    group: int | None
    annotators: list[str]
    texts_read: int = Field(description="Readings: a text that two members read counts twice.")
    votes: int
    quality: QualityAnswer | None = Field(description="Of a typical member.")
    reason: str | None


class ComparedAnswer(AnswerModel):
    """How often a model fitted without a team agrees with it, and models fitted without each other team with those."""

    own: float
    others: float = Field(description="In this team's mix of options.")
    difference: float
    low: float | None = Field(
        description="Ends of a 95 % bootstrap interval of the difference, by groups of texts; null with too few groups."
    )
    high: float | None
    cells: int


class OptionComparedAnswer(AnswerModel):
    """The same on one option."""

    option: str
    agreement: ComparedAnswer | None


class JudgedTeamAnswer(AnswerModel):
    """A team, or an annotator where no teams are named, as models that never saw a label of it judge it."""

    name: str
    texts: int
    agreement: ComparedAnswer | None
    reason: str | None = Field(
        description="Why there is no agreement: alone, too small, or nobody to compare with."
    )
    options: list[OptionComparedAnswer]


class ReportDocument(AnswerModel):
    """What an annotator report found; the result of its job."""

    codebook_version: str
    by: Literal["team", "annotator"]
    method: str
    level: float
    texts: int
    folds: int
    seed: int
    notes: list[str]
    teams: list[JudgedTeamAnswer]


class ReportAnswer(ReportDocument):
    """The newest one."""

    job_id: str
    finished_at: datetime


class ReportBody(RequestModel):
    """Whose values to judge by models."""

    corpus: str = Field(min_length=1, max_length=200, description="Id or name.")
    codebook_version: str | None = Field(None, max_length=200, description="Default: the newest.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of folds, fits and bootstrap.")


class AnnotatorsAnswer(AnswerModel):
    """How often annotators say what the consensus says: agreement with the consensus, not truth. Reviews never enter.

    What is true is drawn many times from what the consensus leaves possible; intervals hold how much the counts differ.
    """

    corpus_id: str
    codebook_version: str | None = Field(description="Whose values these are; null without annotations.")
    codebook_versions: list[VersionAnswer]
    method: str = Field(description="What is meant by the consensus.")
    level: float = Field(description="What intervals hold.")
    periods_by: str = Field(description="quarter (of annotated_at, UTC) or, where nothing is dated, import.")
    groups: list[list[str]] = Field(
        description="Annotators connected by pairs that share at least 50 texts; each is judged by itself."
    )
    not_comparable: list[str]
    annotators: list[AnnotatorAnswer]
    teams: list[TeamAnswer]
    report: ReportAnswer | None = Field(
        description="The newest finished POST /annotator-reports of this codebook version, over all its values whatever the filters."
    )
