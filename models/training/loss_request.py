"""The `loss` of a train request: which loss, and the numbers that belong to it. Needs no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Focus = Annotated[float, Field(ge=0, le=10)]
Share = Annotated[float, Field(ge=0, le=1)]


class CrossEntropy(BaseModel):
    """Binary cross-entropy for yes_no_set options, cross-entropy for choose_one questions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["bce"] = "bce"
    positive_weight: Literal["auto", "none"] | Annotated[float, Field(gt=0, le=1000)] = "auto"
    """Weight of an option's positives; auto: min(10, √(negatives / positives))."""
    class_weight: Literal["auto", "none"] = "none"
    """Weight of a choose_one question's answers; auto: by the square root of their rarity, 10 at most, 1 on average."""


class Focal(BaseModel):
    """Lin et al. (2017), "Focal Loss for Dense Object Detection": α_t · (1 - p_t)^γ · cross-entropy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["focal"] = "focal"
    gamma: Focus = 2.0
    alpha: Share | None = 0.25
    """Weight of positives, 1 - alpha of negatives; null for none. Not used for choose_one questions."""


class Asymmetric(BaseModel):
    """Ridnik et al. (2021), "Asymmetric Loss For Multi-Label Classification": negatives focused more, easy ones dropped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["asymmetric"] = "asymmetric"
    gamma_positive: Focus = 0.0
    gamma_negative: Focus = 4.0
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Negatives with a probability below it cost nothing."""


class DistributionBalanced(BaseModel):
    """Wu et al. (2020), "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["distribution_balanced"] = "distribution_balanced"
    alpha: Share = 0.1
    """Least weight of a cell after smoothing."""
    beta: Annotated[float, Field(gt=0, le=100)] = 10.0
    """How steeply the weight rises with the option's share in its text."""
    mu: Share = 0.3
    """The share at which the weight is in the middle."""
    tolerance: Annotated[float, Field(ge=1, le=100)] = 5.0
    """λ of the negative-tolerant regularisation: negatives' gradients fade λ times sooner."""
    bias: Annotated[float, Field(ge=0, le=1)] = 0.05
    """κ: how far logits are moved by the option's prior, as the paper writes it. The authors' code divides its 0.05 by λ."""
    gamma: Focus = 0.0
    """Focal exponent on top; the paper's DB-Focal has 2."""


LossRequest = Annotated[CrossEntropy | Focal | Asymmetric | DistributionBalanced, Field(discriminator="kind")]
