"""Fitting one member: LoRA on the layers above the cached trunk, and a head beside the wide branch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.adapters.head import Head
from models.encoder.attention import use_products
from models.encoder.batches import Rows, shuffled_batches, token_batches
from models.encoder.load import Encoder
from models.encoder.lora import copy_layers, with_lora
from models.encoder.trunk import Trunk, upper_sums
from models.scheme import MISSING, YES, Scheme
from models.training.checkpoint import load_state, save_state
from models.training.errors import TrainingStoppedError
from models.training.loss import Loss, loss_for, masked_loss
from models.training.metrics import average_precision
from models.training.state import Run, best_weights, restore, run_state
from models.training.task import FitSettings, FitTask, new_head, warm_head

WARM_UP = 0.06
CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted member."""

    lora: dict[str, Tensor]
    head: dict[str, Tensor]
    best_epoch: int
    history: tuple[dict[str, Any], ...]
    """One entry per epoch: losses, inner macro average precision, seconds, tokens."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What a fit tells and asks the outside."""

    epoch_done: Callable[[dict[str, Any]], None]
    tokens_done: Callable[[int], None]
    should_stop: Callable[[], bool]


def fit_member(
    encoder: Encoder, trunk: Trunk, scheme: Scheme, task: FitTask, settings: FitSettings, checkpoint: Path, signals: Signals
) -> Fitted:  # fmt: skip
    """Fit one member, resuming from `checkpoint` where there is one.

    A fit that is stopped and resumed gives bit for bit the same weights on a CPU as one that ran through.

    Raises:
        TrainingStoppedError: `should_stop` said so; the last whole epoch is in the checkpoint.
    """
    loss = loss_for(task.labels[task.fit_rows], scheme, task.penalty, encoder.device)
    run = _start(encoder, trunk, task, settings)
    saved = load_state(checkpoint)
    if saved is not None:
        restore(run, saved)
    else:
        _judge(encoder, trunk, task, settings, loss, run, {"epoch": 0})
    while run.epoch < task.epochs and not _patience_lost(run, task, settings):
        _one_epoch(encoder, trunk, task, settings, loss, run, signals)
        save_state(checkpoint, run_state(run))
        signals.epoch_done(run.history[-1])
    return Fitted(run.best_state["lora"], run.best_state["head"], run.best_epoch, tuple(run.history))


def measure_step(
    encoder: Encoder, trunk: Trunk, scheme: Scheme, task: FitTask, settings: FitSettings, steps: int
) -> int:  # fmt: skip
    """Take some optimizer steps of a throw-away member and return the tokens they read."""
    loss = loss_for(task.labels[task.fit_rows], scheme, task.penalty, encoder.device)
    run = _start(encoder, trunk, task, settings, warm=False)
    lengths = trunk.windows.text_lengths
    batches = shuffled_batches(lengths, settings.batch_tokens, run.order, task.fit_rows)[:steps]
    for rows in batches:
        _step(encoder, trunk, task, loss, run, rows)
    return int(sum(lengths[rows].sum() for rows in batches))


def steps_per_epoch(trunk: Trunk, rows: Rows, budget: int) -> int:
    """Optimizer steps of an epoch, near enough for the schedule."""
    return max(1, len(token_batches(trunk.windows.text_lengths[rows], budget)))


def text_logits(trunk: Trunk, upper: nn.ModuleList, head: Head, rows: Rows, wide: Tensor) -> Tensor:
    """Logits of some texts through the trained layers, float32 (texts, options), with gradients where enabled."""
    first = trunk.windows.first_window
    counts = first[rows + 1] - first[rows]
    windows = np.concatenate([np.arange(first[row], first[row + 1]) for row in rows])
    sums = upper_sums(trunk.batch(windows), upper, trunk.depth, trunk.pooled)
    if len(windows) > len(rows):
        owner = torch.from_numpy(np.repeat(np.arange(len(rows)), counts)).to(sums.device)
        sums = sums.new_zeros((len(rows), *sums.shape[1:])).index_add(0, owner, sums)
    tokens = torch.from_numpy(trunk.windows.text_lengths[rows].astype(np.float32)).to(sums.device)
    logits: Tensor = head((sums / tokens[:, None, None]).flatten(1), wide)
    return logits


def _start(encoder: Encoder, trunk: Trunk, task: FitTask, settings: FitSettings, warm: bool = True) -> Run:
    torch.manual_seed(task.seed)
    upper = copy_layers(encoder, trunk.depth)
    if settings.lora:
        with_lora(upper, settings.rank)
    if encoder.device.type == "cpu":
        use_products(upper)
    head = warm_head(task, settings) if warm else new_head(task, settings)
    head = head.to(encoder.device)
    rates = ((upper, 1.0), (head, settings.head_rate))
    groups = [
        {"params": trained, "share": share}
        for module, share in rates
        if (trained := [value for value in module.parameters() if value.requires_grad])
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
    order = np.random.Generator(np.random.PCG64(task.seed))
    return Run(upper, head, optimizer, order, 0, math.inf, 0.0, 0, {}, [])


def _one_epoch(
    encoder: Encoder, trunk: Trunk, task: FitTask, settings: FitSettings, loss: Loss, run: Run, signals: Signals
) -> None:  # fmt: skip
    began = time.monotonic()
    steps = steps_per_epoch(trunk, task.fit_rows, settings.batch_tokens)
    lengths = trunk.windows.text_lengths
    total, cells = 0.0, 0
    run.head.train()
    batches = shuffled_batches(lengths, settings.batch_tokens, run.order, task.fit_rows)
    for place, rows in enumerate(batches):
        if signals.should_stop():
            raise TrainingStoppedError(f"stopped in epoch {run.epoch + 1} of {task.name}")
        for group in run.optimizer.param_groups:
            share = group["share"] * schedule(run.epoch * steps + place, steps * settings.epochs)
            group["lr"] = settings.learning_rate * share
        total += _step(encoder, trunk, task, loss, run, rows) * len(rows)
        cells += len(rows)
        signals.tokens_done(int(lengths[rows].sum()))
    run.epoch += 1
    entry: dict[str, Any] = {"epoch": run.epoch, "train_loss": total / max(1, cells)}
    entry |= {"seconds": round(time.monotonic() - began, 2), "tokens": int(lengths[task.fit_rows].sum())}
    _judge(encoder, trunk, task, settings, loss, run, entry)


def _judge(
    encoder: Encoder, trunk: Trunk, task: FitTask, settings: FitSettings, loss: Loss, run: Run, entry: dict[str, Any]
) -> None:  # fmt: skip
    """Note an epoch and keep its weights if they are the best so far on the inner split, or the last without one."""
    run.head.eval()
    score, precision = -float(run.epoch), 0.0
    if len(task.check_rows):
        score, precision = _check(encoder, trunk, task, settings, loss, run)
        entry |= {"inner_loss": score, "inner_average_precision": precision}
    run.history.append(entry)
    # A lower loss alone may be mere caution; an epoch has to rank no worse as well.
    if score < run.best and precision >= run.best_precision:
        run.best, run.best_precision, run.best_epoch = score, precision, run.epoch
        run.best_state = best_weights(run, encoder, trunk)


def _step(encoder: Encoder, trunk: Trunk, task: FitTask, loss: Loss, run: Run, rows: Rows) -> float:
    labels = torch.from_numpy(task.labels[rows]).to(encoder.device)
    run.optimizer.zero_grad(set_to_none=True)
    value = masked_loss(
        loss, text_logits(trunk, run.upper, run.head, rows, wide_rows(task, rows, encoder)), labels
    )
    value.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([p for group in run.optimizer.param_groups for p in group["params"]], CLIP)
    run.optimizer.step()
    return float(value.detach())


def _check(
    encoder: Encoder, trunk: Trunk, task: FitTask, settings: FitSettings, loss: Loss, run: Run
) -> tuple[float, float]:
    """Loss and macro average precision on the inner split."""
    logits = np.zeros((len(task.check_rows), task.labels.shape[1]), dtype=np.float32)
    for part in check_batches(trunk, task.check_rows, settings.batch_tokens):
        rows = task.check_rows[part]
        with torch.no_grad():
            found = text_logits(trunk, run.upper, run.head, rows, wide_rows(task, rows, encoder))
        logits[part] = found.cpu().numpy()
    labels = task.labels[task.check_rows]
    value = masked_loss(
        loss, torch.from_numpy(logits).to(encoder.device), torch.from_numpy(labels).to(encoder.device)
    )
    found_precision = [
        average_precision(labels[known, option] == YES, logits[known, option])
        for option in range(labels.shape[1])
        if (known := labels[:, option] != MISSING).any() and (labels[:, option] == YES).any()
    ]
    return float(value), float(np.mean(found_precision)) if found_precision else 0.0


def check_batches(trunk: Trunk, rows: Rows, budget: int) -> Iterator[Rows]:
    """Places within `rows`, in token-budget batches."""
    yield from token_batches(trunk.windows.text_lengths[rows], budget)


def weight_penalty(head: Head) -> Tensor:
    """Half the squared weights that reach a logit: what the head's warm start was penalised by."""
    penalty: Tensor = 0.5 * (head.linear.weight.square().sum() + head.outer.weight.square().sum())
    return penalty


def wide_rows(task: FitTask, rows: Rows, encoder: Encoder) -> Tensor:
    """The wide logits of some rows, zeros without a wide branch: float32 (rows, options)."""
    if task.wide is None:
        return torch.zeros((len(rows), task.labels.shape[1]), device=encoder.device)
    return torch.from_numpy(task.wide[rows]).to(encoder.device)


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at a step: linear warm-up over WARM_UP of all steps, then linear decay to zero."""
    warm = max(1.0, WARM_UP * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return max(0.0, (steps - step) / max(1.0, steps - warm))


def _patience_lost(run: Run, task: FitTask, settings: FitSettings) -> bool:
    return len(task.check_rows) > 0 and run.epoch - run.best_epoch >= settings.patience
