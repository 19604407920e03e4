"""One optimizer step: gradients of its micro-batches summed, clipped, applied. A full GPU halves the micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.adapters.head import Head
from models.encoder.batches import Rows
from models.encoder.lora import LoraLinear
from models.training.loss import decided_cells, summed_loss
from models.training.memory import halving
from models.training.reading import text_logits
from models.training.state import Run
from models.training.task import FitSettings, Fitting

CLIP = 1.0

Tell = Callable[[str, dict[str, Any]], None]
"""Takes an event's name and its details."""


def take_step(fit: Fitting, run: Run, rows: Rows, tell: Tell) -> float:
    """One optimizer step on some texts; gives their mean loss.

    Raises:
        torch.OutOfMemoryError: a single text does not fit.
    """
    value = halving(
        run.micro, len(rows), lambda parts: _gradients(fit, run, rows, parts), partial(_told, fit, tell)
    )
    nn.utils.clip_grad_norm_([p for group in run.optimizer.param_groups for p in group["params"]], CLIP)
    run.optimizer.step()
    return float(value)


def _gradients(fit: Fitting, run: Run, rows: Rows, parts: int) -> Tensor:
    """Fill the gradients with those of the whole batch, read in so many parts; gives the mean loss per decided cell."""
    run.optimizer.zero_grad(set_to_none=True)
    labels = torch.from_numpy(fit.task.labels[rows]).to(fit.encoder.device)
    cells = decided_cells(fit.loss, labels).clamp(min=1.0)
    total = torch.zeros((), device=fit.encoder.device)
    for places in np.array_split(np.arange(len(rows)), min(parts, len(rows))):
        logits = text_logits(fit, run, rows[places])
        value = summed_loss(fit.loss, logits, labels[places]) / cells
        value.backward()  # type: ignore[no-untyped-call]
        total += value.detach()
    return total


def optimizer_for(upper: nn.Module, head: Head, settings: FitSettings) -> torch.optim.AdamW:
    """AdamW on everything trainable: the head at its share of the rate, weight decay on matrices only."""
    groups = []
    for module, share in ((upper, 1.0), (head, settings.head_rate)):
        trained = [value for value in module.parameters() if value.requires_grad]
        for decayed in (True, False):
            chosen = [value for value in trained if (value.ndim > 1) == decayed]
            decay = settings.weight_decay if decayed else 0.0
            if chosen:
                groups.append({"params": chosen, "share": share, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))


def set_rate(run: Run, settings: FitSettings, step: int, steps: int) -> None:
    """Set the learning rate of every group for a step out of all."""
    for group in run.optimizer.param_groups:
        group["lr"] = settings.learning_rate * group["share"] * schedule(step, steps, settings.warm_up)


def schedule(step: int, steps: int, warm_up: float) -> float:
    """Share of the learning rate at a step: linear warm-up over a share of all steps, then linear decay to zero."""
    warm = max(1.0, warm_up * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return max(0.0, (steps - step) / max(1.0, steps - warm))


def prepare_layers(upper: nn.ModuleList, settings: FitSettings) -> None:
    """Give LoRA its dropout and, where asked for, let layers be run again backwards, in place."""
    for module in upper.modules():
        if isinstance(module, LoraLinear):
            module.dropout = settings.lora_dropout
    if settings.activation_checkpointing:
        for layer in upper:
            # The layers stay who they are, so that their parameters keep their names.
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def train_mode(run: Run, on: bool) -> None:
    """Turn dropout of head and LoRA on or off; the frozen base never drops anything."""
    run.head.train(on)
    for module in run.upper.modules():
        if isinstance(module, LoraLinear):
            module.train(on)


def _told(fit: Fitting, tell: Tell, parts: int) -> None:
    details = {"parts": parts, "tokens": fit.settings.batch_tokens // parts}
    tell("micro_batch_halved", {"member": fit.task.name, **details})
