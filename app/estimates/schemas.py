"""Bodies and answers of estimates."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.http.problems import Invalid
from app.http.schemas import AnswerModel, RequestModel

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Level = Annotated[str, StringConstraints(max_length=500)]
Missing = Annotated[
    Literal["refuse", "drop"],
    Field(description="Texts without a value of a column: refuse the analysis, or leave these texts out."),
]


class TermBody(RequestModel):
    """An outcome or covariate: a label or a column, one of them."""

    label: Name | None = Field(None, description="An option that the audit sample's readers read.")
    column: Name | None = Field(None, description="A metadata key or a grouping key of the texts.")
    categorical: bool | None = Field(
        None,
        description="Whether a column counts as levels; default: unless all of its values are numbers (those of a CSV file were imported as words: say false).",
    )
    reference: Level | None = Field(
        None,
        description="The level that others are compared with; default: the most frequent one. Categorical columns only.",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.label is None) == (self.column is None):
            raise ValueError("name either a label or a column")
        if self.label is not None and (self.categorical is not None or self.reference is not None):
            raise ValueError("a label is yes or no: it has neither levels nor a reference")
        if self.reference is not None and self.categorical is False:
            raise ValueError("a column of numbers has no reference")
        return self


class PrevalenceBody(RequestModel):
    """Shares of yes."""

    kind: Literal["prevalence"]
    labels: list[Name] | None = Field(
        None, min_length=1, max_length=100, description="Options; default: every one that was read."
    )


class DifferenceBody(RequestModel):
    """The share of yes in one group, and every other group's minus it."""

    kind: Literal["difference"]
    label: Name
    between: Name = Field(description="A metadata key or a grouping key.")
    reference: Level | None = Field(
        None, description="The group that others are compared with; default: the most frequent one."
    )
    missing: Missing = "refuse"


class RegressionBody(RequestModel):
    """A linear or logistic regression with a label as outcome or among the covariates."""

    kind: Literal["linear", "logistic"]
    outcome: TermBody
    covariates: list[TermBody] = Field(min_length=1, max_length=30)
    missing: Missing = "refuse"

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        terms = [self.outcome, *self.covariates]
        if all(term.label is None for term in terms):
            raise ValueError("no label is at stake: without one there is nothing here to correct")
        names = [(term.label, term.column) for term in terms]
        if len(set(names)) < len(names):
            raise ValueError("a label or column is named twice")
        if self.outcome.categorical or self.outcome.reference is not None:
            raise ValueError("an outcome is a label or a number, not a category")
        return self


AnalysisBody = Annotated[PrevalenceBody | DifferenceBody | RegressionBody, Field(discriminator="kind")]


class EstimatesBody(RequestModel):
    """What to estimate, and from which audit sample and run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "corpus": "letters",
                    "analyses": [
                        {"kind": "prevalence"},
                        {"kind": "difference", "label": "remorse", "between": "court", "missing": "drop"},
                        {
                            "kind": "logistic",
                            "outcome": {"label": "remorse"},
                            "covariates": [{"column": "year"}, {"column": "court", "reference": "North"}],
                        },
                    ],
                }
            ]
        }
    )
    corpus: Reference = Field(description="A corpus's id or name.")
    audit_sample: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None,
        description="A closed audit sample of the whole corpus (aud_…); default: the newest one.",
    )
    audit_samples: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] | None = Field(
        None,
        min_length=1,
        max_length=10,
        description="Several closed audit samples of the whole corpus to be used together, in place of `audit_sample`. They must have "
        "been drawn with different seeds and have read the labels at stake by the same definitions; estimates speak of the newest "
        "one's texts.",
    )
    run: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None,
        description="Relabel run whose held-out probabilities help; default: the newest finished one, or none where there is none.",
    )
    analyses: list[AnalysisBody] = Field(min_length=1, max_length=50)
    cluster_by: Name | None = Field(
        None,
        description="Grouping key that standard errors are clustered by; default: the corpus's fold group. "
        "`null` given outright: every text for itself.",
    )
    where: dict[Name, Annotated[list[Level | int | float], Field(min_length=1, max_length=200)]] = Field(
        default_factory=dict,
        max_length=20,
        description="Only texts whose metadata or grouping keys have one of these values.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Of the folds that predicted labels are crossed over.")
    level: float = Field(0.95, ge=0.5, le=0.999, description="Coverage of the intervals.")

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(self.analyses) > 1 and len({repr(analysis) for analysis in self.analyses}) < len(
            self.analyses
        ):
            raise Invalid("An analysis is asked for twice.", field="/analyses", slug="same-analysis")
        return self

    @model_validator(mode="after")
    def _samples_named_once(self) -> Self:
        wanted = self.audit_samples or []
        if wanted and self.audit_sample is not None:
            raise Invalid(
                "Name one audit sample as `audit_sample`, or several as `audit_samples`, not both.",
                field="/audit_samples",
                slug="audit-samples-named-twice",
            )
        if len(set(wanted)) < len(wanted):
            raise Invalid(
                "An audit sample is named twice: name each once.",
                field="/audit_samples",
                slug="audit-samples-named-twice",
            )
        return self

    @property
    def clusters_named(self) -> bool:
        """Whether the body says what to cluster by, be it nothing."""
        return "cluster_by" in self.model_fields_set


class AnalysisPreview(AnswerModel):
    """What can be said of an analysis before it is made."""

    number: int
    words: str = Field(description="The analysis in words.")
    answerable: bool = Field(description="As far as can be known before the equation is solved.")
    reason: str | None = Field(description="Why it would be refused.")
    texts: int = Field(description="Texts that it is about.")
    read: int = Field(description="Of these, read by experts.")
    skipped: int = Field(description="Drawn texts without a settled value of a label at stake.")
    left_out: int = Field(description="Texts without a value of a column.")
    clusters: int
    coefficients: list[str]
    events: dict[str, list[int]] = Field(description="Expert labels yes and no, by label.")


class EstimatesPreview(AnswerModel):
    """With dry_run: what a job would do. Nothing is stored."""

    corpus_id: str
    audit_sample: str = Field(description="The newest, of several.")
    audit_samples: list[str] = Field(description="All that are used, the oldest first.")
    run: str | None
    cluster_by: str | None
    drawn: int = Field(
        description="Texts that were drawn; by any of several, so far as they are in `frame` as they were read."
    )
    frame: int = Field(description="Texts that it was drawn from; of several, the newest.")
    analyses: list[AnalysisPreview]
