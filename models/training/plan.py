"""The plan of a train job: "auto" resolved, and epochs cut to the time budget by a short measured run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from models.adapters.head import Pooling
from models.data.folds import AUTO_FOLDS
from models.encoder.batches import CPU_BUDGET
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.encoder.tuning import LORA_RATE
from models.training.errors import TrainingRefusedError
from models.training.fit import measure_step
from models.training.inputs import TrainingSet
from models.training.linear import PENALTIES
from models.training.request import AUTO_TOKENS, TrainRequest
from models.training.task import HEAD_RATE, FitSettings, FitTask

RECIPE = 5
"""Counted up whenever training itself changes: checkpoints of another recipe are not resumed."""
GPU_STEP = 8192
"""Tokens of an optimizer step on a GPU; more would leave small corpora with too few steps."""
AUTO_EPOCHS = 3
INNER_SHARE = 0.12
"""Share of a fold's training part that epochs are chosen on."""
MOST_WINDOWS = 8
"""Windows of a text that training reads; prediction reads all."""
_MEASURED_STEPS = 6
_RESERVE = 0.85
"""Share of the remaining time that epochs may fill; the rest is for baselines, calibration and the final checks."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a train job will do. Kept with the checkpoints, so that a resumed job does the same."""

    folds: int
    epochs: int
    depth: int
    """Layers of the frozen trunk."""
    pooled: tuple[int, ...]
    max_tokens: int
    learning_rate: float
    batch_tokens: int
    tokens_per_second: float
    """Measured on this machine; 0 where it was not measured."""
    estimated_seconds: float
    epochs_cut: bool
    """Whether the time budget allows fewer epochs than asked for."""
    input_digest: str
    recipe: int = RECIPE

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @staticmethod
    def from_document(document: dict[str, Any]) -> Plan:
        """Inverse of `to_document`."""
        return Plan(**{**document, "pooled": tuple(document["pooled"])})


def fold_count(data: TrainingSet) -> int:
    """Folds to make: as asked for, or up to AUTO_FOLDS where the corpus has so many groups.

    Raises:
        TrainingRefusedError: fewer groups than folds, or a single group.
    """
    groups = len(data.corpus_sizes)
    asked = data.request.folds
    folds = min(AUTO_FOLDS, groups) if asked == "auto" else asked
    if groups < max(2, folds):
        raise TrainingRefusedError(
            "too-few-groups", "folds",
            f"{max(2, folds)} folds need as many groups, and the corpus has {groups}. Ask for fewer folds, name a finer "
            "grouping key (the text id, if texts are independent), or add texts from other groups.",
        )  # fmt: skip
    return folds


def trunk_depth(request: TrainRequest, encoder: Encoder) -> int:
    """Layers below the trained ones.

    All of them for a probe; by default none for full fine-tuning, else all but one on a CPU and half of them on a GPU.
    """
    if request.method == "probe":
        return encoder.depth
    if request.trained_layers != "auto":
        return max(0, encoder.depth - request.trained_layers)
    if request.method == "full":
        return 0
    return encoder.depth // 2 if encoder.device.type == "cuda" else encoder.depth - 1


def pooled_layers(encoder: Encoder) -> tuple[int, ...]:
    """The middle and the last layer: what is said, and how it is worded."""
    return tuple(sorted({max(1, encoder.depth // 2), encoder.depth}))


def window_tokens(request: TrainRequest, encoder: Encoder) -> int:
    """Tokens of a window, within what the model can read."""
    return min(AUTO_TOKENS if request.max_tokens == "auto" else request.max_tokens, encoder.max_tokens)


def fit_settings(request: TrainRequest, plan: Plan) -> FitSettings:
    """How every member is fitted."""
    tuning = request.tuning()
    return FitSettings(
        learning_rate=plan.learning_rate,
        epochs=plan.epochs,
        patience=request.patience,
        batch_tokens=plan.batch_tokens,
        tuning=tuning,
        head_rate=HEAD_RATE * LORA_RATE / tuning.learning_rate,
        dropout=request.dropout,
        lora_dropout=request.lora_dropout,
        weight_decay=request.weight_decay,
        warm_up=request.warm_up,
        accumulation=request.accumulation,
        activation_checkpointing=request.activation_checkpointing,
        pooling=Pooling(request.window_pooling),
        loss=request.loss,
    )


def make_plan(encoder: Encoder, trunk: Trunk, data: TrainingSet, folds: int, spent: float) -> Plan:
    """Resolve "auto" and, under a time budget, cut epochs to what a short measured run says will fit.

    Args:
        encoder: the base model.
        trunk: of all texts.
        data: the checked input.
        folds: from `fold_count`.
        spent: seconds used so far, the trunk included.
    """
    request, draft = data.request, unmeasured_plan(encoder, trunk, data, folds)
    speed = measured_speed(encoder, trunk, data, fit_settings(request, draft))
    per_epoch = tokens_per_epoch(trunk, data, folds) / speed
    epochs = draft.epochs
    if request.time_budget_s is not None:
        left = max(0.0, request.time_budget_s - spent) * _RESERVE
        epochs = int(np.clip(left // max(per_epoch, 1e-9), 1, draft.epochs))
    return replace(
        draft,
        epochs=epochs,
        tokens_per_second=round(speed, 1),
        estimated_seconds=round(spent + per_epoch * epochs / _RESERVE, 1),
        epochs_cut=epochs < draft.epochs,
    )


def unmeasured_plan(encoder: Encoder, trunk: Trunk, data: TrainingSet, folds: int) -> Plan:
    """The plan before anything is measured: every "auto" resolved."""
    request = data.request
    asked = AUTO_EPOCHS if request.epochs == "auto" else request.epochs
    auto_batch = GPU_STEP if encoder.device.type == "cuda" else CPU_BUDGET
    batch = auto_batch if request.batch_tokens == "auto" else request.batch_tokens
    rate = request.tuning().learning_rate if request.learning_rate == "auto" else request.learning_rate
    return Plan(
        folds, asked, trunk.depth, trunk.pooled, window_tokens(request, encoder), rate, batch, 0.0, 0.0, False, data.digest,
    )  # fmt: skip


def tokens_per_epoch(trunk: Trunk, data: TrainingSet, folds: int) -> float:
    """Tokens that one epoch of all folds and of the final fit reads; of a sample only its share."""
    whole = trunk.windows.tokens * reads_per_epoch(folds)
    if data.request.sample is None:
        return whole
    drawn = trunk.windows.tokens * min(1.0, data.request.sample.size / len(data.texts))
    return min(whole, drawn * (folds * (1 - INNER_SHARE + 1) + 1))


def reads_per_epoch(folds: int) -> float:
    """How often one epoch of everything reads the texts: per fold the inner part and the whole part, and the final fit."""
    return (folds - 1) * (1 - INNER_SHARE + 1) + 1


def measured_speed(encoder: Encoder, trunk: Trunk, data: TrainingSet, settings: FitSettings) -> float:
    """Tokens per second of training steps on this machine, from a few steps of a throw-away member."""
    rng = torch.get_rng_state()
    rows = np.arange(trunk.windows.texts, dtype=np.int64)
    features = np.zeros((trunk.windows.texts, len(trunk.pooled) * encoder.hidden_size), dtype=np.float32)
    task = FitTask(
        "estimate", rows, rows[:0], data.labels, None, features, PENALTIES[0], data.request.seed, 1
    )
    began = time.monotonic()
    tokens = measure_step(encoder, trunk, data.scheme, task, settings, _MEASURED_STEPS)
    torch.set_rng_state(rng)
    return tokens / max(1e-6, time.monotonic() - began)
