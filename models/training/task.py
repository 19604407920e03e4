"""What one fit is given: its settings and its rows, and the head it starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from models.adapters.head import Head, Pooling
from models.encoder.batches import Rows
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.encoder.tuning import Tuning
from models.scheme import MISSING, YES, Labels
from models.training.linear import Linear, fit_linear
from models.training.loss import Loss, asked_weights, trainable
from models.training.loss_request import CrossEntropy, LossRequest

HEAD_HIDDEN = 64
HEAD_RATE = 0.3
"""The head's share of LoRA's default rate."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How members are fitted; the same for all of them."""

    learning_rate: float
    epochs: int
    """At most so many."""
    patience: int
    """Epochs without improvement after which a fit with an inner split ends."""
    batch_tokens: int
    """Tokens of an optimizer step."""
    tuning: Tuning = field(default_factory=Tuning)
    """What is trained above the trunk."""
    head_hidden: int = HEAD_HIDDEN
    dropout: float = 0.1
    """Of the head."""
    lora_dropout: float = 0.0
    """Of what goes into LoRA."""
    head_rate: float = HEAD_RATE
    """Learning rate of the head as a share of the layers': it starts where logistic regression ended."""
    weight_decay: float = 0.0
    """Of AdamW, for matrices only."""
    warm_up: float = 0.06
    """Share of all steps over which the learning rate rises."""
    accumulation: int = 1
    """Micro-batches that an optimizer step is read in. The step stays what it is; memory shrinks."""
    activation_checkpointing: bool = False
    """Whether layers are run again backwards instead of keeping their activations."""
    pooling: Pooling = Pooling.MEAN
    """How the windows of a text are pooled."""
    loss: LossRequest = field(default_factory=CrossEntropy)


@dataclass(frozen=True, slots=True)
class FitTask:
    """One member to fit. Row numbers count texts of the trunk."""

    name: str
    fit_rows: Rows
    check_rows: Rows
    """The inner split that epochs are chosen on; empty for the final fit."""
    labels: Labels
    """int8 (texts, options)."""
    wide: NDArray[np.float32] | None
    """float32 (texts, options): crossed logits at this member's training rows."""
    features: NDArray[np.float32]
    """float32 (texts, features): pooled layers of the plain base model."""
    penalty: float
    """Weight of half the squared head weights in the warm start, from `choose_penalty`."""
    seed: int
    epochs: int
    """Stop after so many, whatever `FitSettings.epochs` says of the schedule."""
    watch_rows: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Held-out rows that are read after every epoch, for the learning curve alone: nothing is chosen by them."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """What stays as it is while one member is fitted."""

    encoder: Encoder
    trunk: Trunk
    task: FitTask
    settings: FitSettings
    loss: Loss


def new_head(task: FitTask, settings: FitSettings) -> Head:
    """A head of the right shape, not yet warm."""
    features, options = task.features.shape[1], task.labels.shape[1]
    return Head(features, options, settings.head_hidden, settings.dropout, settings.pooling)


def warm_head(task: FitTask, settings: FitSettings) -> Head:
    """A head that starts as the one-vs-rest logistic regression on frozen embeddings and crossed wide logits."""
    labels = task.labels[task.fit_rows]
    wide = None if task.wide is None else task.wide[task.fit_rows]
    weights = asked_weights(labels, settings.loss)
    start = fit_linear(task.features[task.fit_rows], labels, task.penalty, wide, weights)
    head = new_head(task, settings)
    with torch.no_grad():
        _copy_linear(head, start)
        head.fixed.copy_(torch.from_numpy(fixed_logits(labels)))
    return head


def fixed_logits(labels: Labels) -> NDArray[np.float32]:
    """The logit of the smoothed prevalence for options that cannot be trained, NaN for the others: float32 (options)."""
    positives = (labels == YES).sum(axis=0) + 0.5
    negatives = ((labels != MISSING) & (labels != YES)).sum(axis=0) + 0.5
    prior = np.log(positives / negatives)
    return np.where(trainable(labels), np.nan, prior).astype(np.float32)


def _copy_linear(head: Head, start: Linear) -> None:
    head.mean.copy_(torch.from_numpy(start.mean))
    head.spread.copy_(torch.from_numpy(start.spread))
    head.linear.weight.copy_(torch.from_numpy(start.weights.T))
    head.linear.bias.copy_(torch.from_numpy(start.bias))
    head.wide_scale.copy_(torch.from_numpy(start.wide_scale))
