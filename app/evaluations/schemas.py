"""What the API takes for an evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.http.problems import Invalid
from app.http.schemas import RequestModel

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EvaluationBody(RequestModel):
    """What to evaluate, and on which texts. Thresholds and calibration are those of the adapter; nothing is fitted on what is evaluated."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"corpus": "letters", "split": "val", "untrained": True}]}
    )
    corpus: Reference = Field(description="A corpus's id or name.")
    adapter: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="Adapter id (adp_…); default: the corpus's promoted one."
    )
    base: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = Field(
        None,
        description="In place of an adapter: an untrained base model, by catalog name or allowed folder.",
    )
    compare_with: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="A second adapter, compared on the cells that both have not seen."
    )
    split: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Only texts of this given split."
    )
    sample: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = Field(
        None, description="Only texts of this recorded sample (smp_…)."
    )
    limit: int | None = Field(None, ge=1, description="At most so many labelled texts, chosen by the seed.")
    untrained: bool = Field(
        True, description="Whether the adapter's base model, untrained, is read and compared as well."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Of the bootstrap and the limit.")

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if self.base is not None and self.adapter is not None:
            raise Invalid(
                "Name an adapter or a base model, not both: an adapter's base model stands beside it anyway.",
                field="/base",
                slug="adapter-or-base",
            )
        if self.compare_with is not None and self.compare_with == self.adapter:
            raise Invalid(
                "An adapter is not compared with itself.", field="/compare_with", slug="same-adapter"
            )
        return self

    def job_params(self, adapter: str | None, compare_with: str | None) -> dict[str, Any]:
        """The job's parameters, with ids that were looked up."""
        rest = self.model_dump(include={"base", "split", "sample", "limit", "untrained", "seed"})
        return rest | {"adapter": adapter, "compare_with": compare_with}
