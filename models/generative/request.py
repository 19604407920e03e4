"""The request of a generative train job: what is trained, how, and what the operator allows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.training.request import Catalog, read_model

Auto = Literal["auto"]


class GenerativeRequest(BaseModel):
    """Everything a generative train job needs beside its documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["causal", "summarize"]
    base_model: str = Field(min_length=1, max_length=500)
    """A catalog name, or the path of a folder the operator allows."""
    method: Literal["lora", "rslora", "qlora"] = "lora"
    lora_rank: int = Field(default=16, ge=1, le=256)
    learning_rate: Auto | Annotated[float, Field(gt=0, le=0.1)] = "auto"
    schedule: Literal["cosine", "linear"] = "cosine"
    epochs: Auto | Annotated[int, Field(ge=1, le=100)] = "auto"
    """At most so many; early stopping may keep an earlier one."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    time_budget_s: float | None = Field(default=None, gt=0)
    """Seconds the whole job may take; steps are cut to it, never the held-out part."""
    document_limit: int | None = Field(default=None, ge=1)
    """At most so many documents, chosen by the seed, those held out included."""
    held_out_share: float = Field(default=0.1, gt=0, lt=0.9)
    block_tokens: Auto | Annotated[int, Field(ge=16, le=32768)] = "auto"
    """causal: tokens of a block, and of a held-out window."""
    style: Literal["document", "dialogue"] = "document"
    max_input_tokens: int = Field(default=1024, ge=16, le=16384)
    """summarize: longer texts are cut here."""
    max_target_tokens: int = Field(default=256, ge=4, le=4096)
    """summarize: longer summaries are cut here, and generation ends."""
    rouge_pairs: int = Field(default=100, ge=0, le=10_000)
    """summarize: held-out pairs that summaries are generated for, before and after."""
    units_per_step: Auto | Annotated[int, Field(ge=1, le=4096)] = "auto"
    """Blocks or pairs of one optimizer step."""
    activation_checkpointing: bool = False
    """Keep only the layers' inputs and compute again backwards: slower, far less memory. Turned on by itself when memory runs out."""
    dtype: Auto | Literal["float32", "bfloat16"] = "auto"
    """Of the frozen base; auto: bfloat16 where the hardware computes it."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    catalog: Catalog = Field(default_factory=Catalog)

    def identity(self) -> dict[str, Any]:
        """What a checkpoint and a finished adapter depend on: everything but where and how often it is saved."""
        return self.model_dump(mode="json", exclude={"catalog", "device", "checkpoint_seconds"})


def read_request(path: Path) -> GenerativeRequest:
    """Read request.json; raises as `models.training.request.read_model` does."""
    return read_model(path, GenerativeRequest)
