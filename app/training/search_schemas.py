"""What the API takes and says about hyperparameter searches."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from app.http.schemas import AnswerModel, RequestModel

MOST_TRIALS = 1000
MOST_PARAMETERS = 20
Strategy = Literal["grid", "random", "bayesian"]


class FloatRange(RequestModel):
    """Any number from `low` to `high`, both included."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = Field(False, description="Spread evenly on a logarithmic scale.")
    steps: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="So many values from low to high; a grid needs it."
    )

    @model_validator(mode="after")
    def _ordered(self) -> FloatRange:
        _check_range(self.low, self.high, self.log)
        return self


class IntRange(RequestModel):
    """Any whole number from `low` to `high`, both included."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = Field(False, description="Spread evenly on a logarithmic scale.")
    step: int = Field(1, ge=1, description="Distance of two values; 1 where log is true.")

    @model_validator(mode="after")
    def _ordered(self) -> IntRange:
        _check_range(self.low, self.high, self.log)
        if self.log and self.step != 1:
            raise ValueError("a logarithmic range takes no step other than 1")
        return self


class Choice(RequestModel):
    """One of some values, objects such as a `loss` among them."""

    type: Literal["choice"]
    values: list[Any] = Field(min_length=1, max_length=100)


Dimension = Annotated[FloatRange | IntRange | Choice, Field(discriminator="type")]
ParameterName = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class SearchRequest(RequestModel):
    """How to search: which trials are made, and of what."""

    strategy: Strategy = Field(
        "bayesian",
        description="Every combination; random ones; or Optuna's TPE, which goes on where it was good.",
    )
    trials: int | None = Field(
        None, ge=1, le=MOST_TRIALS, description="How many; default 20, for a grid all of its combinations."
    )
    space: dict[ParameterName, Dimension] = Field(
        min_length=1,
        max_length=MOST_PARAMETERS,
        description="Fields of this request and the values they may take; the rest of the request holds for every trial.",
    )
    prune: bool = Field(
        True, description="End a fit early that is worse than the median of the others at the same epoch."
    )
    nested: bool = Field(
        True,
        description="Choose for each fold by its own inner split alone, so that the held-out score is one of search and training "
        "together. False: one choice for all folds, by the mean; the held-out score is then a little too good.",
    )
    folds: int | None = Field(
        None,
        ge=1,
        le=20,
        description="Only with nested false: score trials on the inner splits of so many folds instead of all.",
    )
    parallel: int | None = Field(
        None,
        ge=1,
        le=64,
        description="At most so many trials at once; default: as many as devices take, and one that waits.",
    )
    time_budget_seconds: float | None = Field(
        None, gt=0, le=30 * 86400, description="No new trial begins after so many seconds."
    )

    @model_validator(mode="after")
    def _honest(self) -> SearchRequest:
        if self.folds is not None and self.nested:
            raise ValueError(
                'folds needs "nested": false: a fold without trials of its own would be chosen for by others'
            )
        return self


class MemberScore(AnswerModel):
    """What one fit of a trial came to: on the inner split of one fold."""

    member: str = Field(
        description="`fold0`, `fold1` …; `final`: an inner split of all texts; `all`: the mean of several folds."
    )
    parameters: dict[str, Any]
    score: float | None = Field(
        description="Macro average precision on the inner split; of a pruned fit the best so far."
    )
    loss: float | None = None
    best_epoch: int | None = None
    epochs: int | None = Field(None, description="Epochs read, early stopping included.")
    seconds: float | None = None
    pruned_at: int | None = Field(None, description="The epoch after which the fit was ended.")
    folds: list[dict[str, Any]] = Field(
        default_factory=list, description="For `all`: the score of each fold."
    )


TrialState = Literal["queued", "running", "paused", "complete", "pruned", "failed", "cancelled"]


class TrialAnswer(AnswerModel):
    """One trial of a search as it stands."""

    number: int
    job_id: str
    state: TrialState = Field(description="pruned: none of its fits was carried to the end.")
    parameters: dict[str, Any] | None = Field(
        description="What it tries; null where each fold tries something else."
    )
    members: list[MemberScore]
    mean: float | None = Field(description="Mean of the scores so far.")
    seconds: float | None
    chosen_for: list[str] = Field(description="Members of the adapter that were fitted with its parameters.")
    error: dict[str, Any] | None


def _check_range(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"low ({low}) is above high ({high})")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range begins above 0, not at {low}")
