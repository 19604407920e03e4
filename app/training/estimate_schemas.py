"""What the API says about the time, memory and disk that a train job will take."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.http.schemas import AnswerModel


class MeasuredAnswer(AnswerModel):
    """Where an estimate comes from: a few training steps of the real base model on a few of the corpus's texts."""

    at: datetime
    host: str = Field(description="The machine that trained.")
    device: str = Field(description="`cpu`, or the name of a GPU.")
    job_id: str | None = Field(description="The measurement's own job.")
    how: str


class _EstimatedAnswer(AnswerModel):
    """What estimates of all tasks say."""

    seconds: float = Field(description="When every epoch is kept and nothing else runs on the machine.")
    seconds_if_start_kept: float = Field(
        description="When no epoch is better than the start and training ends early; equal to `seconds` where nothing stops it early."
    )
    range_seconds: tuple[float, float] = Field(
        description="Half of the shorter figure to 1.6 times the longer one: measurements vary, machines are busy."
    )
    tokens: int = Field(description="Of the texts, once.")
    tokens_per_second: float = Field(description="Of training steps, measured.")
    memory_bytes: int = Field(description="Most that the trainer takes at once.")
    disk_bytes: int = Field(description="Most that its work folder takes.")
    measured: MeasuredAnswer


class EstimateAnswer(_EstimatedAnswer):
    """What a classification job will take, by arithmetic on a short measurement made where trainers run."""

    folds: int
    epochs: int = Field(
        description="At most so many; fewer than asked for where the time budget allows no more."
    )
    epochs_in_time_budget: int | None = Field(description="None without time_budget_seconds.")
    tokens_read: int = Field(description="By all epochs of all folds and the final fit.")
    trunk_tokens_per_second: float = Field(description="Of the frozen layers, measured.")


class GenerativeEstimateAnswer(_EstimatedAnswer):
    """What a generative job will take, by arithmetic on a short measurement made where trainers run."""

    documents: int = Field(description="Documents or pairs used, within `document_limit`.")
    train_documents: int = Field(description="About so many are learned from.")
    stopping_documents: int = Field(
        description="About so many decide when training ends; 0: too few for that."
    )
    held_out_documents: int = Field(description="About so many are measured on.")
    epochs: float = Field(
        description="At most so many; fewer, and not whole ones, where the time budget allows no more."
    )
    epochs_in_time_budget: float | None = Field(description="None without time_budget_seconds.")
    steps: int = Field(description="Of the optimizer, in these epochs.")
    tokens_read: int = Field(description="Learned from, by these epochs.")
    read_tokens_per_second: float = Field(description="Of held-out documents, measured.")
    seconds_per_summary: float | None = Field(
        description="Of summaries written for ROUGE-L, measured; None for causal."
    )
    device_memory_bytes: int | None = Field(description="Most that is allocated on the GPU; None on a CPU.")
