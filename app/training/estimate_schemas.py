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


class EstimateAnswer(AnswerModel):
    """What the job will take, by arithmetic on a short measurement made where trainers run."""

    seconds: float = Field(description="When no fold stops early and nothing else runs on the machine.")
    range_seconds: tuple[float, float] = Field(description="With early stopping; on a busy machine.")
    folds: int
    epochs: int = Field(
        description="At most so many; fewer than asked for where the time budget allows no more."
    )
    epochs_in_time_budget: int | None = Field(description="None without time_budget_seconds.")
    tokens: int = Field(description="Of the texts, once.")
    tokens_read: int = Field(description="By all epochs of all folds and the final fit.")
    tokens_per_second: float = Field(description="Of training steps, measured.")
    trunk_tokens_per_second: float = Field(description="Of the frozen layers, measured.")
    memory_bytes: int = Field(description="Most that the trainer takes at once.")
    disk_bytes: int = Field(description="Most that its work folder takes.")
    measured: MeasuredAnswer
