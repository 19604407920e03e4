"""What the API says about adapters."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from app.adapters.rules import compared_with_baselines, generative_change, macro_f1
from app.db.tables import Adapter
from app.http.problems import Invalid
from app.http.schemas import AnswerModel, RequestModel


class PromoteBody(RequestModel):
    """How a person promotes an adapter. Empty for one that passes the gate."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"override": True, "reason": "The old one lacks the new option."}]}
    )
    override: bool = Field(False, description="Promote although a check of the gate fails; needs a reason.")
    reason: str | None = Field(None, max_length=2000, description="Why; kept in the audit log.")

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if self.override and not (self.reason or "").strip():
            raise Invalid(
                "An override needs a reason: it is recorded and shown in the report.",
                field="/reason",
                slug="reason-missing",
            )
        return self


class GenerativeChange(AnswerModel):
    """A held-out number before and after training."""

    measure: Literal["rouge_l", "perplexity", "loss"]
    before: float
    after: float


class AdapterAnswer(AnswerModel):
    """An adapter, without its report."""

    id: str = Field(examples=["adp_01k3zq5w0v8n2m4c6x7y9abc"])
    name: str
    corpus_id: str | None
    job_id: str | None = Field(description="The train job that made it.")
    snapshot_id: str | None = Field(description="The label snapshot it was trained on.")
    task: str = Field(examples=["classify"])
    base_model: str = Field(examples=["minilm"])
    option_keys: list[str] = Field(description="Its options, in the order of its probabilities.")
    digest: str = Field(description="sha256 over all its files and its manifest.")
    origin: str = Field(description="train or import.")
    beats_baselines: bool | None = Field(
        description="Whether its held-out macro-F1 is above both baselines'; null where none was compared."
    )
    macro_f1: float | None = Field(description="Held-out.")
    change: GenerativeChange | None = Field(
        description="What training changed on held-out documents, of adapters made to write; null of others, and without a report."
    )
    promoted: bool = Field(description="Whether its corpus serves it by default.")
    promoted_at: datetime | None
    created_by: str | None
    created_at: datetime


class AdapterDetail(AdapterAnswer):
    """An adapter with its manifest."""

    manifest: dict[str, Any]


def adapter_answer(adapter: Adapter, *, promoted: bool) -> AdapterAnswer:
    """The API's form of an adapter row."""
    computed = {
        "promoted": promoted,
        "macro_f1": macro_f1(adapter.report),
        "beats_baselines": compared_with_baselines(adapter.report),
        "change": generative_change(adapter.report),
    }
    fields = {name: getattr(adapter, name) for name in AdapterAnswer.model_fields if name not in computed}
    return AdapterAnswer(**fields, **computed)
