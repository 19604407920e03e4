"""The moving parts of one fit, as a checkpoint keeps them and as a resumed fit takes them up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.adapters.head import Head
from models.adapters.member import cpu_state
from models.encoder.load import Encoder
from models.encoder.trunk import Trunk
from models.encoder.tuning import tuned_state
from models.training.memory import MicroBatches


@dataclass(slots=True)
class Run:
    """The moving parts of one fit."""

    upper: nn.ModuleList
    head: Head
    optimizer: torch.optim.Optimizer
    order: np.random.Generator
    """Draws the order of an epoch's texts: the sampler."""
    micro: MicroBatches
    epoch: int = 0
    """Whole epochs done."""
    place: int = 0
    """Steps done of the epoch after them."""
    order_before: Mapping[str, Any] = field(default_factory=dict)
    """State of `order` before the running (or next) epoch's texts are drawn: with `place`, the sampler's position."""
    total: float = 0.0
    """Loss so far of the running epoch, times rows."""
    best: float = float("inf")
    """Lowest inner loss so far."""
    best_precision: float = 0.0
    """Inner average precision of the same epoch."""
    best_epoch: int = 0
    best_state: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    watched: list[Tensor] = field(default_factory=list)
    """After each epoch, from 0 on, the logits of the watched rows: float16 (rows, options)."""


_PLAIN = (
    "epoch",
    "place",
    "total",
    "best",
    "best_precision",
    "best_epoch",
    "best_state",
    "history",
    "watched",
)
"""Attributes of a run that are saved as they are."""


def best_weights(run: Run, encoder: Encoder, trunk: Trunk) -> dict[str, dict[str, Tensor]]:
    """What a run has trained as it is now, above the trunk and of the head: copies, fp32 on the CPU."""
    return {"upper": tuned_state(encoder, run.upper, trunk.depth), "head": cpu_state(run.head)}


def _trained(run: Run) -> dict[str, Tensor]:
    named = [(f"upper.{name}", value) for name, value in run.upper.named_parameters() if value.requires_grad]
    return dict(named + [(f"head.{name}", value) for name, value in run.head.state_dict().items()])


def run_state(run: Run) -> dict[str, Any]:
    """Everything a fit needs to go on as if it had never stopped.

    Weights, optimizer, random states, the sampler's position, micro-batches and history. The learning rate follows from
    epoch and place alone.
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "trained": {name: value.detach().cpu() for name, value in _trained(run).items()},
        "optimizer": run.optimizer.state_dict(),
        "rng": {"torch": torch.get_rng_state(), "cuda": cuda, "order": dict(run.order_before)},
        "parts": run.micro.parts,
        **{name: getattr(run, name) for name in _PLAIN},
    }


def restore(run: Run, saved: dict[str, Any]) -> None:
    """Take up what `run_state` gave, in place."""
    with torch.no_grad():
        for name, value in _trained(run).items():
            value.copy_(saved["trained"][name])
    run.optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"]["torch"])
    if saved["rng"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["rng"]["cuda"])
    run.order.bit_generator.state = run.order_before = saved["rng"]["order"]
    run.micro.parts = saved["parts"]
    for name in _PLAIN:
        setattr(run, name, saved[name])
