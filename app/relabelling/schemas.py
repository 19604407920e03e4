"""Bodies and answers of relabel jobs, rankings and predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from app.db.tables import Prediction, Ranking, RelabelRun
from app.http.schemas import AnswerModel, RequestModel
from app.ids import numbered


class RelabelBody(RequestModel):
    """Which corpus to read again, and with which adapter."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"corpus": "letters"}]})
    corpus: str = Field(description="Name or id of the corpus.", max_length=200)
    adapter: str | None = Field(
        None, description="Adapter id; default: the corpus's promoted one.", max_length=100
    )


class RankingAnswer(AnswerModel):
    """An immutable ordering of a run's cells by suspicion."""

    id: str
    run_id: str
    corpus_id: str
    snapshot_id: str
    method: str
    parameters: dict[str, Any]
    cells: list[list[str | None]] = Field(
        description="[question, option or null], in the order of suspicion arrays."
    )
    audited_cells: int
    flagged_cells: int
    created_at: datetime


class PredictionAnswer(AnswerModel):
    """What a run's models say about one text."""

    text_id: str
    external_id: str | None = None
    run_id: str
    text_version: int = Field(description="Number of the text version that was read.")
    probabilities: dict[str, float | None] = Field(
        description="Calibrated, by option key; null where the text could not be read."
    )
    held_out: bool = Field(
        description="Whether every model asked had seen neither the text, nor its group, nor a near-duplicate."
    )
    models: int = Field(description="How many models the mean is over; 0: the text could not be read.")


def ranking_answer(ranking: Ranking) -> RankingAnswer:
    """The API's form of a ranking row."""
    return RankingAnswer(**{name: getattr(ranking, name) for name in RankingAnswer.model_fields})


def prediction_answer(
    prediction: Prediction, run: RelabelRun, version: int, text_id: int, external_id: str | None = None
) -> PredictionAnswer:
    """The API's form of a prediction row."""
    numbers = [None if value != value else value for value in prediction.probabilities]  # noqa: PLR0124  # NaN is no JSON
    return PredictionAnswer(
        text_id=numbered("txt", text_id),
        external_id=external_id,
        run_id=run.id,
        text_version=version,
        probabilities=dict(zip(run.option_keys, numbers, strict=True)),
        held_out=prediction.held_out,
        models=prediction.models,
    )
