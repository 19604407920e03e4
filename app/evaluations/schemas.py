"""What the API takes for an evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from app.evaluations.generative_schemas import CausalEvaluation, SummaryEvaluation
from app.http.problems import Invalid
from app.http.schemas import RequestModel

Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class EvaluationBody(RequestModel):
    """What to evaluate, and on which texts. Thresholds and calibration are those of the adapter; nothing is fitted on what is evaluated."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"corpus": "letters", "split": "val", "untrained": True},
                {
                    "corpus": "contracts",
                    "summarize": {"document_set": "doc_01k3zq5w0v8n2m4c6x7y9abc", "items": 50},
                },
            ]
        }
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
        None,
        description="A second adapter of the same task, compared on the cells, texts or documents that both have not seen. Of causal adapters "
        "one of the same base model: perplexity counts tokens, which each base model cuts in its own way.",
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
    seed: int = Field(0, ge=0, lt=2**31, description="Of the bootstrap, and of what is drawn.")
    summarize: SummaryEvaluation | None = Field(
        None,
        description="Where summaries are evaluated: texts, length, scores. With an adapter made to summarize it may be left out; "
        "without adapter and base the extractive methods alone are evaluated.",
    )
    causal: CausalEvaluation | None = Field(
        None,
        description="Where a causal model is evaluated: documents and samples. With a causal adapter it may be left out.",
    )

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
        if self.summarize is not None and self.causal is not None:
            raise Invalid(
                "Give `summarize` or `causal`, not both: an evaluation is of one task.",
                field="/causal",
                slug="two-tasks",
            )
        return self

    def job_params(self, adapter: str | None, compare_with: str | None) -> dict[str, Any]:
        """The job's parameters, with ids that were looked up."""
        rest = self.model_dump(include={"base", "split", "sample", "limit", "untrained", "seed"})
        return rest | {"adapter": adapter, "compare_with": compare_with}
