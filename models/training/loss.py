"""The training loss: masked binary cross-entropy for yes_no_set options, softmax cross-entropy for choose_one questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.scheme import MISSING, YES, Labels, Scheme
from models.training.calibration import choose_one_columns
from models.training.linear import positive_weights


@dataclass(frozen=True, slots=True)
class Loss:
    """What one training part's loss needs beside logits and labels."""

    weights: Tensor
    """float32 (options): weight of positives."""
    trained: Tensor
    """float32 (options): 1 where the option is trained, 0 where its logit is fixed."""
    singles: tuple[int, ...]
    """Columns of yes_no_set options."""
    choices: tuple[tuple[int, ...], ...]
    """Columns of each choose_one question."""
    penalty: float
    """Weight of half the squared head weights: the warm start's penalty, per decided cell."""


def loss_for(labels: Labels, scheme: Scheme, penalty: float, device: torch.device) -> Loss:
    """The loss for a training part's labels, int8 (rows, options), with the penalty its warm start was fitted under."""
    choices = choose_one_columns(scheme)
    chosen = {column for columns in choices for column in columns}
    return Loss(
        torch.from_numpy(positive_weights(labels)).to(device),
        torch.from_numpy(trainable(labels).astype(np.float32)).to(device),
        tuple(column for column in range(labels.shape[1]) if column not in chosen),
        choices,
        penalty / max(1, int((labels != MISSING).sum())),
    )


def trainable(labels: Labels) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Options with at least one positive and one negative: bool (options)."""
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (labels == YES).any(axis=0) & (
        (labels != YES) & (labels != MISSING)
    ).any(axis=0)
    return found


def masked_loss(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss per decided cell; missing cells and untrainable options count for nothing.

    Args:
        loss: of the training part.
        logits: float32 (texts, options).
        labels: int8 (texts, options).
    """
    total, cells = logits.new_zeros(()), logits.new_zeros(())
    if loss.singles:
        part, known = _binary(loss, logits, labels)
        total, cells = total + part, cells + known
    for columns in loss.choices:
        part, known = _choice(logits[:, columns], labels[:, columns])
        total, cells = total + part, cells + known
    return total / cells.clamp(min=1.0)


def _binary(loss: Loss, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    columns: Sequence[int] = loss.singles
    truth = labels[:, columns]
    mask = (truth != MISSING) * loss.trained[list(columns)]
    # A fixed logit carries no gradient; putting 0 in its place keeps an infinite one out of the sum.
    scores = torch.where(mask > 0, logits[:, columns], torch.zeros_like(mask))
    cells = functional.binary_cross_entropy_with_logits(
        scores, (truth == YES).float(), pos_weight=loss.weights[list(columns)], reduction="none"
    )
    return (cells * mask).sum(), mask.sum()


def _choice(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    known = (labels == YES).any(dim=1)
    given = labels.argmax(dim=1)
    cells = functional.cross_entropy(logits, given, reduction="none")
    return (cells * known).sum(), known.sum().float()
