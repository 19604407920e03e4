"""What the API says about adapters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from app.adapters.rules import macro_f1
from app.db.tables import Adapter
from app.http.schemas import AnswerModel


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
    beats_baselines: bool = Field(description="Whether its held-out macro-F1 is above both baselines'.")
    macro_f1: float | None = Field(description="Held-out.")
    promoted: bool = Field(description="Whether its corpus serves it by default.")
    promoted_at: datetime | None
    created_by: str | None
    created_at: datetime


class AdapterDetail(AdapterAnswer):
    """An adapter with its manifest."""

    manifest: dict[str, Any]


def adapter_answer(adapter: Adapter, *, promoted: bool) -> AdapterAnswer:
    """The API's form of an adapter row."""
    computed = {"promoted", "macro_f1"}
    fields = {name: getattr(adapter, name) for name in AdapterAnswer.model_fields if name not in computed}
    return AdapterAnswer(**fields, promoted=promoted, macro_f1=macro_f1(adapter.report))
