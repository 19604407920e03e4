"""Bodies and answers of relabel jobs, rankings and predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from app.db.tables import Prediction, Ranking, RelabelRun
from app.http.paging import Page
from app.http.schemas import AnswerModel, RequestModel
from app.ids import numbered

MOST_DECOYS = 0.5
_DECOYS = (
    "Share of the queue that nothing flags, mixed in so that nobody can count on a flag; a tenth is usual."
)
_RATE = "Flag the largest set of which at most this share is expected to be right; needs error probabilities."


class RelabelBody(RequestModel):
    """Which corpus to read again, and with which adapter."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"corpus": "letters"}]})
    corpus: str = Field(description="Name or id of the corpus.", max_length=200)
    adapter: str | None = Field(
        None, description="Adapter id; default: the corpus's promoted one.", max_length=100
    )
    decoys: float = Field(0.0, ge=0, le=MOST_DECOYS, description=_DECOYS)


class RankingBody(RequestModel):
    """Which run to judge again, and how its ranking is to be."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"corpus": "letters"}, {"corpus": "letters", "decoys": 0.1}]}
    )
    corpus: str = Field(description="Name or id of the corpus.", max_length=200)
    run: str | None = Field(
        None, description="A finished relabel run; default: the corpus's newest.", max_length=100
    )
    score: str | None = Field(
        None,
        description="The score that orders it: stacked, reviewed, unlimited, self_confidence, margin, confident_learning, knn. Default: the best there is.",
        max_length=100,
    )
    decoys: float = Field(0.0, ge=0, le=MOST_DECOYS, description=_DECOYS)
    max_false_discovery_rate: float | None = Field(None, gt=0, lt=1, description=_RATE)


class Calibration(AnswerModel):
    """What closed audit samples say of suspicion."""

    reason: str | None = Field(None, description="Why there are no error probabilities; null when there are.")
    decisions: int = Field(0, description="Blind decisions that it rests on.")
    errors: int = Field(0, description="Wrong labels among them.")
    audit_samples: list[str] = Field(default_factory=list)


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
    score_names: list[str] = Field(
        description="Every score that is kept, the one that orders the ranking first; listings take any as `order_by`."
    )
    audited_cells: int
    flagged_cells: int
    decoy_cells: int = Field(description="Cells of the queue that nothing flags.")
    calibrated: bool = Field(
        description="Whether error probabilities are claimed; until then suspicion is no probability."
    )
    calibration: Calibration
    created_at: datetime


class BudgetPoint(AnswerModel):
    """Review so many of the most suspicious labels, find about so many wrong ones."""

    reviewed: int
    found: float
    low: float
    high: float


class BudgetAnswer(AnswerModel):
    """The reviewer's budget: what reviewing the top K is expected to find, with 95 % intervals."""

    ranking_id: str
    audited_cells: int
    flagged_cells: int
    calibration: Calibration
    points: list[BudgetPoint] = Field(
        description="By number of labels reviewed, from the most suspicious down; decoys are not among them."
    )


class CellName(AnswerModel):
    """A cell of a text."""

    question: str
    option: str | None


class SuspiciousText(AnswerModel):
    """A text with its labels' suspicion pooled."""

    text_id: str = Field(examples=["txt_17"])
    external_id: str
    any_wrong: float = Field(
        description="Noisy-or over its labels with the odds of each divided by e, so that many slightly suspicious ones do not outvote one that is highly so. Orders texts; it is no probability and may lie below `highest`."
    )
    highest: float = Field(description="Suspicion of its most suspicious label.")
    most_suspicious: CellName


class SuspiciousTextPage(Page[SuspiciousText]):
    """A page of a ranking's texts."""

    ranking_id: str | None = Field(None, description="The ranking walked; null when there is none yet.")


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
    told = {"calibrated": is_calibrated(ranking), "calibration": calibration_answer(ranking)}
    return RankingAnswer(
        **{name: getattr(ranking, name) for name in RankingAnswer.model_fields if name not in told}, **told
    )


def is_calibrated(ranking: Ranking) -> bool:
    """Whether a ranking claims error probabilities."""
    return bool(ranking.calibration.get("calibrated"))


def calibration_answer(ranking: Ranking) -> Calibration:
    """What a ranking's calibration rests on, or why there is none."""
    known = ranking.calibration or {"reason": "the ranking was made before audit samples could calibrate"}
    return Calibration(**{name: known[name] for name in Calibration.model_fields if name in known})


def budget_answer(ranking: Ranking) -> BudgetAnswer:
    """The curve of a calibrated ranking."""
    curve = ranking.budget or {}
    names = ("reviewed", "found", "low", "high")
    return BudgetAnswer(
        ranking_id=ranking.id,
        audited_cells=ranking.audited_cells,
        flagged_cells=ranking.flagged_cells,
        calibration=calibration_answer(ranking),
        points=[
            BudgetPoint(**dict(zip(names, values, strict=True)))
            for values in zip(*(curve.get(name, []) for name in names), strict=True)
        ],
    )


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
