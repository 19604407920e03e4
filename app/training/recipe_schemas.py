"""The `loss` of a train job: which loss, and the numbers that belong to it (as models/training/loss_request.py reads them)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.http.schemas import RequestModel

Focus = Annotated[float, Field(ge=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]


class CrossEntropyLoss(RequestModel):
    """Cross-entropy of every labelled cell: the default."""

    kind: Literal["bce"] = "bce"
    positive_weight: Literal["auto", "none"] | Annotated[float, Field(gt=0, le=1000)] = Field(
        "auto", description="Weight of an option's positives; auto: min(10, √(negatives / positives))."
    )
    class_weight: Literal["auto", "none"] = Field(
        "none",
        description="Weight of a choose_one question's answers; auto: by the square root of their rarity.",
    )


class FocalLoss(RequestModel):
    """Focal loss (Lin et al. 2017): cells the model already gets right count less."""

    kind: Literal["focal"]
    gamma: Focus = 2.0
    alpha: Share | None = Field(
        0.25, description="Weight of positives, 1 - alpha of negatives; null for none."
    )


class AsymmetricLoss(RequestModel):
    """Asymmetric loss (Ridnik et al. 2021): negatives are focused more than positives, very easy ones cost nothing."""

    kind: Literal["asymmetric"]
    gamma_positive: Focus = 0.0
    gamma_negative: Focus = 4.0
    margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="Negatives with a probability below it cost nothing."
    )


class DistributionBalancedLoss(RequestModel):
    """Distribution-balanced loss (Wu et al. 2020): for many options of very different frequency."""

    kind: Literal["distribution_balanced"]
    alpha: Share = Field(0.1, description="Least weight of a cell.")
    beta: Annotated[float, Field(gt=0, le=100)] = Field(
        10.0, description="Steepness of the smoothed weights."
    )
    mu: Share = Field(0.3, description="Middle of the smoothed weights.")
    tolerance: Annotated[float, Field(ge=1, le=100)] = Field(
        5.0, description="λ of the negative-tolerant regularisation."
    )
    bias: Annotated[float, Field(ge=0, le=1)] = Field(
        0.05, description="κ: how far logits are moved by the option's prior."
    )
    gamma: Focus = Field(0.0, description="Focal exponent on top; the paper's DB-Focal has 2.")


LossSettings = Annotated[
    CrossEntropyLoss | FocalLoss | AsymmetricLoss | DistributionBalancedLoss, Field(discriminator="kind")
]
