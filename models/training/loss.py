"""The training loss: every decided cell counts, missing ones do not. yes_no_set options are binary, choose_one a softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.scheme import MISSING, YES, Labels, Scheme
from models.training.calibration import choose_one_columns
from models.training.linear import positive_weights
from models.training.loss_request import (
    Asymmetric,
    CrossEntropy,
    DistributionBalanced,
    Focal,
    LossRequest,
)
from models.training.loss_terms import (
    asymmetric,
    focal,
    negative_tolerant,
    rebalanced,
    weighted_cross_entropy,
)

_MOST_WEIGHT = 10.0


@dataclass(frozen=True, slots=True)
class Loss:
    """What one training part's loss needs beside logits and labels."""

    asked: LossRequest
    weights: Tensor
    """float32 (options): weight of positives, or of the answer for options of a choose_one question."""
    trained: Tensor
    """float32 (options): 1 where the option is trained, 0 where its logit is fixed."""
    positives: Tensor
    """float32 (options): positives in the training part."""
    prior: Tensor
    """float32 (options): smoothed share of positives among decided cells."""
    singles: tuple[int, ...]
    """Columns of yes_no_set options."""
    choices: tuple[tuple[int, ...], ...]
    """Columns of each choose_one question."""


def loss_for(labels: Labels, scheme: Scheme, device: torch.device, asked: LossRequest | None = None) -> Loss:
    """The loss for a training part's labels, int8 (rows, options)."""
    asked = CrossEntropy() if asked is None else asked
    choices = choose_one_columns(scheme)
    chosen = {column for columns in choices for column in columns}
    weights = asked_weights(labels, asked)
    for columns in choices:
        weights[list(columns)] = _answer_weights(labels[:, list(columns)], asked)
    yes, known = (labels == YES).sum(axis=0), (labels != MISSING).sum(axis=0)
    return Loss(
        asked=asked,
        weights=torch.from_numpy(weights).to(device),
        trained=torch.from_numpy(trainable(labels).astype(np.float32)).to(device),
        positives=torch.from_numpy(yes.astype(np.float32)).to(device),
        prior=torch.from_numpy(((yes + 0.5) / (known + 1)).astype(np.float32)).to(device),
        singles=tuple(column for column in range(labels.shape[1]) if column not in chosen),
        choices=choices,
    )


def asked_weights(labels: Labels, asked: LossRequest) -> NDArray[np.float32]:
    """Weight of each option's positives, float32 (options). Losses with a balance of their own start from auto's."""
    given = asked.positive_weight if isinstance(asked, CrossEntropy) else "auto"
    if given == "auto":
        return positive_weights(labels)
    return np.full(labels.shape[1], 1.0 if given == "none" else given, dtype=np.float32)


def trainable(labels: Labels) -> NDArray[np.bool_]:
    """Options with at least one positive and one negative: bool (options)."""
    found: NDArray[np.bool_] = (labels == YES).any(axis=0) & ((labels != YES) & (labels != MISSING)).any(
        axis=0
    )
    return found


def masked_loss(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss per decided cell; missing cells and untrainable options count for nothing.

    Args:
        loss: of the training part.
        logits: float32 (texts, options).
        labels: int8 (texts, options).
    """
    return summed_loss(loss, logits, labels) / decided_cells(loss, labels).clamp(min=1.0)


def decided_cells(loss: Loss, labels: Tensor) -> Tensor:
    """How many cells count, float32: decided ones of trainable options, and one for each answered choose_one question."""
    cells = ((labels != MISSING) * loss.trained)[:, list(loss.singles)].sum()
    for columns in loss.choices:
        cells = cells + (labels[:, list(columns)] == YES).any(dim=1).sum()
    return cells.float()


def summed_loss(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over decided cells, so that parts of a batch add up to what the whole batch costs. Arguments as `masked_loss`."""
    total = logits.new_zeros(())
    if loss.singles:
        total = total + _binary(loss, logits, labels)
    for columns in loss.choices:
        total = total + _choice(loss, columns, logits, labels)
    return total


def _binary(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    columns = list(loss.singles)
    given = labels[:, columns]
    mask = (given != MISSING) * loss.trained[columns]
    # A fixed logit carries no gradient; putting 0 in its place keeps an infinite one out of the sum.
    scores = torch.where(mask > 0, logits[:, columns], torch.zeros_like(mask))
    return (_costs(loss, columns, scores, (given == YES).float(), mask) * mask).sum()


def _costs(loss: Loss, columns: list[int], scores: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    asked = loss.asked
    match asked:
        case CrossEntropy():
            return weighted_cross_entropy(scores, truth, loss.weights[columns])
        case Focal():
            return focal(scores, truth, asked.gamma, asked.alpha)
        case Asymmetric():
            return asymmetric(scores, truth, asked.gamma_positive, asked.gamma_negative, asked.margin)
        case DistributionBalanced():
            weight = rebalanced(truth, known, loss.positives[columns], asked.alpha, asked.beta, asked.mu)
            prior = loss.prior[columns]
            return weight * negative_tolerant(scores, truth, prior, asked.tolerance, asked.bias, asked.gamma)


def _choice(loss: Loss, columns: tuple[int, ...], logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of a choose_one question, focal where the loss is; weighted where asked for."""
    scores, given = logits[:, list(columns)], labels[:, list(columns)]
    answer = given.argmax(dim=1)
    known = (given == YES).any(dim=1)
    costs = functional.cross_entropy(scores, answer, reduction="none")
    if isinstance(loss.asked, Focal):
        costs = costs * (1 - torch.exp(-costs)).clamp(min=1e-8) ** loss.asked.gamma
    return (costs * loss.weights[list(columns)][answer] * known).sum()


def _answer_weights(labels: Labels, asked: LossRequest) -> NDArray[np.float32]:
    """Weights of a choose_one question's answers, float32 (answers): 1 on average over its texts."""
    counts = (labels == YES).sum(axis=0)
    if not isinstance(asked, CrossEntropy) or asked.class_weight == "none" or not counts.any():
        return np.ones(len(counts), dtype=np.float32)
    weights = np.clip(np.sqrt(counts.sum() / np.maximum(counts, 1) / len(counts)), None, _MOST_WEIGHT)
    scaled: NDArray[np.float32] = (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)
    return scaled
