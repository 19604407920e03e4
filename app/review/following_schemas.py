"""Answers of the report of following."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from app.http.schemas import AnswerModel
from app.review.following import Difference, Group


class ShareAnswer(AnswerModel):
    """A share with Wilson's 95 % interval; null without any decision."""

    count: int
    of: int
    share: float | None
    low: float | None
    high: float | None


class FollowingGroup(AnswerModel):
    """First decisions of one kind."""

    reviewer: str | None = Field(description="Null: everybody.")
    blind: bool
    reason: Literal["flag", "decoy"]
    follows_model: ShareAnswer = Field(
        description="Decided as the model says, of the cells where model and label differ."
    )
    keeps_label: ShareAnswer = Field(description="Decided as the label says.")


class FollowingDifference(AnswerModel):
    """How much more often the model is followed at flags when it is seen than when it is not (Newcombe's 95 % interval)."""

    reviewer: str | None = Field(description="Null: everybody.")
    share: float
    low: float
    high: float


class ReviewingAnswer(AnswerModel):
    """How reviewers decide. Cells were not dealt out at random, so that groups may differ for that alone."""

    corpus_id: str
    groups: list[FollowingGroup]
    differences: list[FollowingDifference]


def reviewing_answer(
    corpus_id: str, groups: Sequence[Group], differences: Sequence[Difference]
) -> ReviewingAnswer:
    """The API's form of the report."""
    return ReviewingAnswer(
        corpus_id=corpus_id,
        groups=[FollowingGroup.model_validate(group) for group in groups],
        differences=[FollowingDifference.model_validate(found) for found in differences],
    )
