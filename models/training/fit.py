"""Fitting one member: LoRA on the layers above the cached trunk, and a head beside the wide branch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoder.attention import use_products
from models.encoder.batches import Rows, shuffled_batches, token_batches
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.encoder.tuning import tuned_layers
from models.scheme import Scheme
from models.training.checkpoint import load_state, save_state
from models.training.errors import TrainingRefusedError, TrainingStoppedError
from models.training.linear import macro_precision
from models.training.loss import loss_for, masked_loss
from models.training.memory import MicroBatches, halving
from models.training.reading import read_rows
from models.training.state import Run, best_weights, restore, run_state
from models.training.step import Tell, optimizer_for, prepare_layers, set_rate, take_step, train_mode
from models.training.task import FitSettings, FitTask, Fitting, new_head, warm_head

CHECKPOINT_SECONDS = 60.0
"""An epoch that takes longer is kept in the middle, too."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted member."""

    upper: dict[str, Tensor]
    """As `models.encoder.tuning.tuned_state` gives it."""
    head: dict[str, Tensor]
    best_epoch: int
    history: tuple[dict[str, Any], ...]
    """One entry per epoch: losses, inner macro average precision, seconds, tokens."""
    watched: NDArray[np.float16]
    """float16 (epochs, watched rows, options): logits after each epoch, from 0 on."""


def _ignore(_name: str, _details: dict[str, Any]) -> None:
    """For those who listen to no events."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a fit tells and asks the outside."""

    epoch_done: Callable[[dict[str, Any]], None]
    tokens_done: Callable[[int], None]
    should_stop: Callable[[], bool]
    event: Tell = _ignore
    """Takes events by name: `micro_batch_halved`, and `checkpoint` in the middle of an epoch."""


def fit_member(
    encoder: Encoder, trunk: Trunk, scheme: Scheme, task: FitTask, settings: FitSettings, checkpoint: Path, signals: Signals
) -> Fitted:  # fmt: skip
    """Fit one member, resuming from `checkpoint` where there is one.

    A fit that is stopped and resumed gives bit for bit the same weights on a CPU as one that ran through.

    Raises:
        TrainingStoppedError: `should_stop` said so; the last whole step is in the checkpoint.
        TrainingRefusedError: the loss is no longer a number.
    """
    fit, run = start_fit(encoder, trunk, scheme, task, settings)
    saved = load_state(checkpoint)
    if saved is not None:
        restore(run, saved)
    else:
        _judge(fit, run, {"epoch": 0}, signals)
    while run.epoch < task.epochs and not _patience_lost(fit, run):
        _one_epoch(fit, run, checkpoint, signals)
        save_state(checkpoint, run_state(run))
        signals.epoch_done(run.history[-1])
    watched = np.stack([part.numpy() for part in run.watched])
    return Fitted(
        run.best_state["upper"], run.best_state["head"], run.best_epoch, tuple(run.history), watched
    )


def start_fit(
    encoder: Encoder, trunk: Trunk, scheme: Scheme, task: FitTask, settings: FitSettings, warm: bool = True
) -> tuple[Fitting, Run]:
    """A fit before its first step; `warm` is whether the head starts from logistic regression."""
    loss = loss_for(task.labels[task.fit_rows], scheme, encoder.device, settings.loss)
    torch.manual_seed(task.seed)
    upper = tuned_layers(encoder, trunk.depth, settings.tuning)
    if encoder.device.type == "cpu":
        use_products(upper)
    prepare_layers(upper, settings)
    head = (warm_head(task, settings) if warm else new_head(task, settings)).to(encoder.device)
    order = np.random.Generator(np.random.PCG64(task.seed))
    run = Run(upper, head, optimizer_for(upper, head, settings), order, MicroBatches(settings.accumulation))
    run.order_before = order.bit_generator.state
    return Fitting(encoder, trunk, task, settings, loss), run


def measure_step(
    encoder: Encoder, trunk: Trunk, scheme: Scheme, task: FitTask, settings: FitSettings, steps: int
) -> int:
    """Take some optimizer steps of a throw-away member and return the tokens they read."""
    fit, run = start_fit(encoder, trunk, scheme, task, settings, warm=False)
    lengths = trunk.windows.text_lengths
    batches = shuffled_batches(lengths, settings.batch_tokens, run.order, task.fit_rows)[:steps]
    for rows in batches:
        take_step(fit, run, rows, _ignore)
    return int(sum(lengths[rows].sum() for rows in batches))


def steps_per_epoch(trunk: Trunk, rows: Rows, budget: int) -> int:
    """Optimizer steps of an epoch, near enough for the schedule."""
    return max(1, len(token_batches(trunk.windows.text_lengths[rows], budget)))


def _one_epoch(fit: Fitting, run: Run, checkpoint: Path, signals: Signals) -> None:
    task, settings, lengths = fit.task, fit.settings, fit.trunk.windows.text_lengths
    began = saved = time.monotonic()
    steps = steps_per_epoch(fit.trunk, task.fit_rows, settings.batch_tokens)
    batches = shuffled_batches(lengths, settings.batch_tokens, run.order, task.fit_rows)
    train_mode(run, True)
    for rows in batches[run.place :]:
        if signals.should_stop():
            save_state(checkpoint, run_state(run))
            raise TrainingStoppedError(f"stopped in epoch {run.epoch + 1} of {task.name}")
        set_rate(run, settings, run.epoch * steps + run.place, steps * settings.epochs)
        run.total += take_step(fit, run, rows, signals.event) * len(rows)
        run.place += 1
        signals.tokens_done(int(lengths[rows].sum()))
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save_state(checkpoint, run_state(run))
            saved = time.monotonic()
            signals.event("checkpoint", {"member": task.name, "complete": False, "epoch": run.epoch, "step": run.place})  # fmt: skip
    loss = _finite(run.total / max(1, len(task.fit_rows)), task)
    run.epoch, run.place, run.total = run.epoch + 1, 0, 0.0
    run.order_before = run.order.bit_generator.state
    entry = {"epoch": run.epoch, "train_loss": loss, "seconds": round(time.monotonic() - began, 2)}
    _judge(fit, run, entry | {"tokens": int(lengths[task.fit_rows].sum())}, signals)


def _finite(loss: float, task: FitTask) -> float:
    if math.isfinite(loss):
        return loss
    raise TrainingRefusedError(
        "training-diverged", "learning_rate",
        f"the training loss of {task.name} is no longer a number. Ask for a lower learning_rate, a longer warm_up, or a lower "
        "lora_rank.",
    )  # fmt: skip


def _judge(fit: Fitting, run: Run, entry: dict[str, Any], signals: Signals) -> None:
    """Note an epoch and keep its weights if they are the best so far on the inner split, or the last without one."""
    train_mode(run, False)
    score, precision = -float(run.epoch), 0.0
    if len(fit.task.check_rows):
        score, precision = _check(fit, run, signals)
        entry |= {"inner_loss": score, "inner_average_precision": precision}
    run.watched.append(torch.from_numpy(_read(fit, run, fit.task.watch_rows, signals).astype(np.float16)))
    run.history.append(entry)
    # A lower loss alone may be mere caution; an epoch has to rank no worse as well.
    if score < run.best and precision >= run.best_precision:
        run.best, run.best_precision, run.best_epoch = score, precision, run.epoch
        run.best_state = best_weights(run, fit.encoder, fit.trunk)


def _check(fit: Fitting, run: Run, signals: Signals) -> tuple[float, float]:
    """Loss and macro average precision on the inner split."""
    logits = _read(fit, run, fit.task.check_rows, signals)
    labels = fit.task.labels[fit.task.check_rows]
    given = (torch.from_numpy(part).to(fit.encoder.device) for part in (logits, labels))
    return float(masked_loss(fit.loss, *given)), macro_precision(labels, logits)


def _read(fit: Fitting, run: Run, rows: Rows, signals: Signals) -> NDArray[np.float32]:
    budget = fit.settings.batch_tokens

    def attempt(parts: int) -> NDArray[np.float32]:
        return read_rows(fit, run, rows, max(1, budget // parts))

    def told(parts: int) -> None:
        details = {"member": fit.task.name, "parts": parts, "tokens": budget // parts}
        signals.event("micro_batch_halved", details)

    return halving(run.micro, budget, attempt, told)


def _patience_lost(fit: Fitting, run: Run) -> bool:
    return len(fit.task.check_rows) > 0 and run.epoch - run.best_epoch >= fit.settings.patience
