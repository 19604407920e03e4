"""The ideas of `bench quality_ideas`, one at a time: held-out logits of the recipe with one thing changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality_ground import Ground, Part, Unseen, part_of
from models.adapters.head import Head, head_logits
from models.adapters.wide import context_terms, wide_logits
from models.encoder.tuning import tuning_for
from models.training.fit import Fitted, Signals, fit_member
from models.training.linear import choose_penalty
from models.training.loss_request import (
    Asymmetric,
    CrossEntropy,
    DistributionBalanced,
    Focal,
    LossRequest,
)
from models.training.material import training_rows
from models.training.member_task import inner_task, member_task, wide_choice
from models.training.members import request_with
from models.training.task import FitSettings, FitTask, fixed_logits, new_head, warm_head
from models.training.wide import WideSettings, count_vocabulary, fit_wide

Logits = NDArray[np.float32]
WORDS_OF_LETTERS = r"(?u)\b\w\w+\b"
"""scikit-learn's own: words of two letters or more, no signs."""
COLD_HEAD_RATE = 10.0
"""A head that starts from nothing learns at 3e-3: at the recipe's rate one epoch would leave it near its start."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What an arm with LoRA says of the held-out rows."""

    epochs: Logits
    """float32 (epochs, texts, options): after each epoch, from 0 on."""
    chosen: NDArray[np.int64]
    """int64 (texts): the epoch that the inner split of the row's fold chose."""
    best: list[int]
    """The same by fold."""

    def at(self, epoch: int) -> Logits:
        """Logits after an epoch that is kept whatever the inner split says."""
        return self.epochs[epoch]

    def as_chosen(self) -> Logits:
        """Logits of the epoch that each fold chose."""
        return self.epochs[self.chosen, np.arange(len(self.chosen))]


Start = Callable[[Ground, Part], Logits]
"""Held-out logits of one fold, float32 (held-out rows, options)."""


def starts(ground: Ground) -> Mapping[str, Start]:
    """Ideas of what training starts from: convex fits alone, no LoRA. The first is the recipe's."""
    depth = ground.material.encoder.depth
    return {
        "recipe's start": lambda ground, part: started(ground, part.task, part),
        "wide branch off": without_wide,
        "wide branch alone": lambda _, part: _filled(part.task)[part.held_out],
        "contexts off": without_contexts,
        "contexts always": always_contexts,
        "words of two letters, no signs": _of_words(ground),
        f"pooled: last layer ({depth}) alone": partial(_pooled, layers=(depth,)),
        f"pooled: middle layer ({depth // 2}) alone": partial(_pooled, layers=(depth // 2,)),
        "pooled: all layers": partial(_pooled, layers=tuple(range(1, depth + 1))),
    }


def held_out_by(ground: Ground, start: Start) -> Logits:
    """Held-out logits of every fold: float32 (texts, options)."""
    logits = np.zeros(ground.labels.shape, dtype=np.float32)
    for part in ground.parts:
        logits[part.held_out] = start(ground, part)
    return logits


def started(ground: Ground, task: FitTask, part: Part) -> Logits:
    """What the head says of the held-out rows before any step."""
    beside = None if task.wide is None else task.wide[part.held_out]
    return head_logits(warm_head(task, ground.material.settings).eval(), task.features[part.held_out], beside)


def without_wide(ground: Ground, part: Part) -> Logits:
    """The probe: features alone, with the penalty that suits them."""
    return started(ground, _refitted(ground, replace(part.task, wide=None)), part)


def without_contexts(ground: Ground, part: Part) -> Logits:
    """The wide branch on the text alone."""
    choice = replace(part.choice, wide=part.choice.tfidf, context=False)
    changed = part_of(ground.material, part.fold, choice)
    return started(ground, changed.task, part)


def always_contexts(ground: Ground, part: Part) -> Logits:
    """The wide branch with contexts, whether or not they rank the inner part better."""
    if part.choice.context:
        return started(ground, part.task, part)
    data = ground.material.data
    asked = replace(data, request=request_with(data.request, {"context": True}))
    changed = part_of(replace(ground.material, data=asked), part.fold)
    return started(ground, changed.task, part)


def _of_words(ground: Ground) -> Start:
    """Everything of the wide branch again on words of two letters or more; counted once for all folds."""
    data, kept = ground.material.data, []

    def start(ground: Ground, part: Part) -> Logits:
        if not kept:
            with patch("models.adapters.wide.TOKENS", WORDS_OF_LETTERS):
                terms, counts = count_vocabulary(data.texts, data.contexts)
            kept.append(replace(ground.material, counts=counts, of_context=context_terms(terms)))
        return started(ground, part_of(kept[0], part.fold).task, part)

    return start


def _pooled(ground: Ground, part: Part, layers: tuple[int, ...]) -> Logits:
    return started(ground, _refitted(ground, replace(part.task, features=ground.read.features(layers))), part)


def _refitted(ground: Ground, task: FitTask) -> FitTask:
    """A task on other features, with the penalty chosen for them."""
    data, rows = ground.material.data, task.fit_rows
    beside = None if task.wide is None else task.wide[rows]
    groups = [data.groups[row] for row in rows]
    return replace(task, penalty=choose_penalty(task.features[rows], data.labels[rows], groups, task.seed, beside))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Arm:
    """An idea of how LoRA is trained."""

    epochs: int = 1
    layers: int = 1
    """Layers above the trunk."""
    rank: int = 16
    loss: LossRequest | None = None
    warm: bool = True


def tuned_arms(depth: int) -> dict[str, Arm]:
    """The ideas with LoRA, the costly ones last; the first is the recipe's."""
    return {
        "recipe with LoRA": Arm(),
        "trained layers: 2": Arm(layers=2),
        "loss: focal": Arm(loss=Focal()),
        "loss: bce, positives not weighted": Arm(loss=CrossEntropy(positive_weight="none")),
        "rank 64": Arm(rank=64),
        "rank 4": Arm(rank=4),
        "loss: asymmetric": Arm(loss=Asymmetric()),
        "loss: distribution_balanced": Arm(loss=DistributionBalanced()),
        "warm start off": Arm(warm=False),
        "4 epochs": Arm(epochs=4),
        f"trained layers: all {depth}": Arm(layers=depth),
    }


def tune(ground: Ground, arm: Arm) -> Tuned:
    """Train every fold on the inner part, look at the held-out rows after each epoch, note which one the inner split chose.

    Every epoch is read, however little it promises: early stopping chooses afterwards.
    """
    found = np.zeros((arm.epochs + 1, *ground.labels.shape), dtype=np.float32)
    chosen, best = np.zeros(len(ground.labels), dtype=np.int64), []
    for part in ground.parts:
        fitted = _fitted(ground, part, arm)
        found[:, part.held_out] = fitted.watched
        chosen[part.held_out] = fitted.best_epoch
        best.append(fitted.best_epoch)
    return Tuned(found, chosen, best)


def _fitted(ground: Ground, part: Part, arm: Arm) -> Fitted:
    material = ground.material
    settings = _settings(material.settings, arm)
    task = replace(inner_task(material.data, part.task, part.fold), epochs=arm.epochs)
    trunk = ground.read.trunk(material.encoder, material.encoder.depth - arm.layers)
    signals = Signals(lambda _entry: None, lambda _tokens: None, lambda: False)
    with tempfile.TemporaryDirectory() as folder, _head_start(arm.warm):
        return fit_member(
            material.encoder, trunk, material.data.scheme, task, settings, Path(folder) / "fit.pt", signals
        )


def _settings(recipe: FitSettings, arm: Arm) -> FitSettings:
    return replace(
        recipe,
        epochs=arm.epochs,
        patience=arm.epochs + 1,
        tuning=tuning_for("lora", arm.rank),
        loss=arm.loss or recipe.loss,
        head_rate=recipe.head_rate if arm.warm else COLD_HEAD_RATE,
    )


@contextmanager
def _head_start(warm: bool) -> Iterator[None]:
    """Within it fits start from logistic regression, or from nothing."""
    if warm:
        yield
        return
    with patch("models.training.fit.warm_head", cold_head):
        yield


def cold_head(task: FitTask, settings: FitSettings) -> Head:
    """A head that knows how features are spread, but nothing of the labels; the wide branch speaks from the first step on."""
    head, features = new_head(task, settings), task.features[task.fit_rows]
    with torch.no_grad():
        head.mean.copy_(torch.from_numpy(features.mean(axis=0)))
        head.spread.copy_(torch.from_numpy(np.maximum(features.std(axis=0), 1e-4)))
        head.wide_scale.fill_(0.0 if task.wide is None else 1.0)
        head.fixed.copy_(torch.from_numpy(fixed_logits(task.labels[task.fit_rows])))
    return head


def on_unseen(ground: Ground, unseen: Unseen) -> tuple[Logits, list[Logits]]:
    """Logits of texts that no fold saw: of a start on the whole sample, and of every fold's."""
    material = ground.material
    every = training_rows(material, np.ones(len(ground.labels), dtype=np.bool_))
    choice = wide_choice(material, every)
    task = member_task(material, "final", every, choice)
    final = _read(ground, unseen, task, choice.wide)
    return final, [_read(ground, unseen, part.task, part.choice.wide) for part in ground.parts]


def _read(ground: Ground, unseen: Unseen, task: FitTask, settings: WideSettings) -> Logits:
    material = ground.material
    wide = fit_wide(material.counts, material.data.labels, task.fit_rows, task.seed, settings)
    head = warm_head(task, material.settings).eval()
    return head_logits(head, unseen.features, wide_logits(wide, unseen.counts))


def _filled(task: FitTask) -> Logits:
    assert task.wide is not None
    return task.wide
