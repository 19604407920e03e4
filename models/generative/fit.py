"""The loop that both generative tasks share: steps, early stopping, checkpoints, a bit-equal resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.generative.state import restore, save
from models.training.errors import TrainingRefusedError, TrainingStoppedError

WARM_UP = 0.06
CLIP = 1.0
PATIENCE = 2
"""Epochs without a lower loss after which a fit ends."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is fitted: units (blocks or pairs) and their loss."""

    read_tokens: NDArray[np.int64]
    """int64 (units,): tokens that the model reads of each."""
    target_tokens: NDArray[np.int64]
    """int64 (units,): tokens that it predicts."""
    loss: Callable[[Sequence[int]], Tensor]
    """Summed loss of some units, in nats, with its graph."""
    stopping: Callable[[Callable[[], None]], float] | None
    """Loss per token on the documents of early stopping, given what to call between batches; None: there are none."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a task is fitted."""

    steps: int
    """Optimizer steps in all; fewer than whole epochs under a time budget."""
    steps_per_epoch: int
    units_per_step: int
    learning_rate: float
    schedule: str
    seed: int
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Signals:
    """How a fit is heard and stopped."""

    event: Callable[..., None]
    """Takes the event's name and its details."""
    progress: Callable[[int], None]
    """Takes tokens read since the last call."""
    check_stop: Callable[[], None]
    """Raises TrainingStoppedError when the job shall stop."""
    checkpoint_activations: Callable[[], None]
    """Called once when even the smallest micro-batch does not fit into memory."""


@dataclass(slots=True)
class Run:
    """The moving parts of a fit; what `state.save` keeps."""

    optimizer: torch.optim.Optimizer
    step: int = 0
    micro: int = 0
    """Units computed at once."""
    best: float = math.inf
    best_epoch: int = -1
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Per token, of this epoch's steps so far."""
    checkpointing: bool = False
    saved_at: float = 0.0


def fit(
    task: Task,
    trained: dict[str, nn.Parameter],
    settings: FitSettings,
    micro: int,
    path: Path,
    signals: Signals,
) -> list[dict[str, Any]]:
    """Fit, from the checkpoint at `path` if there is one; the parameters end as the best epoch left them.

    Epoch 0, the base model itself, is a candidate where early stopping has documents to look at.

    Args:
        micro: units computed at once, at first.

    Returns:
        One entry per epoch: epoch, step, train_loss, stopping_loss, best.

    Raises:
        TrainingStoppedError: stopped; the checkpoint is complete.
        TrainingRefusedError: the loss is no number any more, or memory does not hold a single unit.
    """
    parameters = list(trained.values())
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=0.0, fused=parameters[0].is_cuda
    )
    run = Run(optimizer, micro=micro, saved_at=time.monotonic())
    restore(path, run, trained)
    if run.checkpointing:
        signals.checkpoint_activations()
    try:
        while not _epoch_ends(task, trained, settings, run, path, signals):
            run.losses.append(_step(task, parameters, settings, run, signals))
            run.step += 1
            if time.monotonic() - run.saved_at >= settings.checkpoint_seconds:
                _save(path, run, trained, signals)
    except TrainingStoppedError:
        _save(path, run, trained, signals)
        raise
    if task.stopping is not None:
        with torch.no_grad():
            for name, value in run.best_state.items():
                trained[name].copy_(value)
    return run.history


def units_of(step: int, settings: FitSettings, units: int) -> NDArray[np.int64]:
    """The units of a step: every epoch in an order of its own, drawn from the seed and the epoch's number alone."""
    epoch, place = divmod(step, settings.steps_per_epoch)
    order = np.random.default_rng([settings.seed, epoch]).permutation(units)
    return order[place * settings.units_per_step : (place + 1) * settings.units_per_step]


def rate_at(step: int, settings: FitSettings) -> float:
    """Learning rate of a step: linear warm-up, then cosine or linear decay to zero."""
    warm = max(1, round(WARM_UP * settings.steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    left = 1 - (step - warm) / max(1, settings.steps - warm)
    share = left if settings.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))
    return settings.learning_rate * share


def micro_batches(
    units: NDArray[np.int64], read_tokens: NDArray[np.int64], micro: int
) -> Iterator[list[int]]:
    """Parts of a step's units, longest first, so that units computed together are of like length."""
    ordered = units[np.argsort(-read_tokens[units], kind="stable")]
    for start in range(0, len(ordered), micro):
        yield ordered[start : start + micro].tolist()


def _epoch_ends(
    task: Task, trained: dict[str, nn.Parameter], settings: FitSettings, run: Run, path: Path, signals: Signals
) -> bool:  # fmt: skip
    """At an epoch's end: measure, note, keep the best, save. True when the fit is over."""
    over = run.step >= settings.steps
    epoch = -(-run.step // settings.steps_per_epoch)
    if not over and run.step % settings.steps_per_epoch:
        return False
    if len(run.history) <= epoch:
        found = task.stopping(signals.check_stop) if task.stopping is not None else None
        if found is not None and not math.isfinite(found):
            raise _diverged(run.step)
        better = found is not None and found < run.best
        if found is not None and better:
            run.best, run.best_epoch = found, epoch
            run.best_state = {name: value.detach().to("cpu", copy=True) for name, value in trained.items()}
        entry = {
            "epoch": epoch, "step": run.step, "best": better,
            "train_loss": float(np.mean(run.losses)) if run.losses else None, "stopping_loss": found,
        }  # fmt: skip
        run.history.append(entry)
        run.losses.clear()
        _save(path, run, trained, signals)
        signals.event("epoch", **entry)
    return over or (task.stopping is not None and epoch - run.best_epoch >= PATIENCE)


def _step(
    task: Task, parameters: list[nn.Parameter], settings: FitSettings, run: Run, signals: Signals
) -> float:
    """One optimizer step; the loss per token."""
    units = units_of(run.step, settings, len(task.read_tokens))
    loss = _gradients(task, units, run, signals)
    if not math.isfinite(loss):
        raise _diverged(run.step)
    nn.utils.clip_grad_norm_(parameters, CLIP)
    for group in run.optimizer.param_groups:
        group["lr"] = rate_at(run.step, settings)
    run.optimizer.step()
    return loss


def _gradients(task: Task, units: NDArray[np.int64], run: Run, signals: Signals) -> float:
    """Gradients of a step's mean loss per token, in as many parts as memory asks for."""
    predicted = max(1, int(task.target_tokens[units].sum()))
    while True:
        run.optimizer.zero_grad(set_to_none=True)
        total: Tensor | None = None
        try:
            for part in micro_batches(units, task.read_tokens, run.micro):
                signals.check_stop()
                loss = task.loss(part) / predicted
                loss.backward()  # type: ignore[no-untyped-call]
                total = loss.detach() if total is None else total + loss.detach()
                signals.progress(int(task.read_tokens[part].sum()))
            return float(total) if total is not None else 0.0
        except torch.OutOfMemoryError:
            # The traceback holds the failed pass's tensors until this clause ends.
            total = None
        _less_memory(run, signals)


def _less_memory(run: Run, signals: Signals) -> None:
    """Halve the micro-batch, then keep fewer activations, then give up."""
    run.optimizer.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if run.micro > 1:
        run.micro //= 2
        signals.event("out_of_memory", micro_batch=run.micro, activation_checkpointing=run.checkpointing)
    elif not run.checkpointing:
        run.checkpointing = True
        signals.checkpoint_activations()
        signals.event("out_of_memory", micro_batch=1, activation_checkpointing=True)
    else:
        raise TrainingRefusedError(
            "out-of-memory",
            "base_model",
            "the device's memory does not hold one block, even with activation checkpointing: "
            "use a smaller base model, QLoRA, or shorter blocks (block_tokens, max_input_tokens)",
        )


def _save(path: Path, run: Run, trained: dict[str, nn.Parameter], signals: Signals) -> None:
    save(path, run, trained)
    run.saved_at = time.monotonic()
    signals.event("checkpoint", step=run.step, complete=False)


def _diverged(step: int) -> TrainingRefusedError:
    return TrainingRefusedError(
        "training-diverged",
        "learning_rate",
        f"the loss is no number after step {step}: use a lower learning rate",
    )
