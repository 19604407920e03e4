"""The moving parts of one fit, as a checkpoint keeps them and as a resumed fit takes them up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.adapters.head import Head
from models.adapters.member import cpu_state
from models.encoder.load import Encoder
from models.encoder.lora import lora_state
from models.encoder.trunk import Trunk


@dataclass(slots=True)
class Run:
    """The moving parts of one fit."""

    upper: nn.ModuleList
    head: Head
    optimizer: torch.optim.Optimizer
    order: np.random.Generator
    epoch: int
    best: float
    """Lowest inner loss so far."""
    best_precision: float
    """Inner average precision of the same epoch."""
    best_epoch: int
    best_state: dict[str, dict[str, Tensor]]
    history: list[dict[str, Any]]


def best_weights(run: Run, encoder: Encoder, trunk: Trunk) -> dict[str, dict[str, Tensor]]:
    """The LoRA and head tensors of a run as they are now: copies, fp32 on the CPU."""
    lora = {
        name: value.clone() for name, value in lora_state(run.upper, encoder.layer_path, trunk.depth).items()
    }
    return {"lora": lora, "head": cpu_state(run.head)}


def _trained(run: Run) -> dict[str, Tensor]:
    named = [(f"upper.{name}", value) for name, value in run.upper.named_parameters() if value.requires_grad]
    return dict(named + [(f"head.{name}", value) for name, value in run.head.state_dict().items()])


def run_state(run: Run) -> dict[str, Any]:
    """Everything a fit needs to go on as if it had never stopped: weights, optimizer, random states, history."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "trained": {name: value.detach().cpu() for name, value in _trained(run).items()},
        "optimizer": run.optimizer.state_dict(),
        "rng": {"torch": torch.get_rng_state(), "cuda": cuda, "order": run.order.bit_generator.state},
        "epoch": run.epoch, "best": run.best, "best_precision": run.best_precision, "best_epoch": run.best_epoch,
        "best_state": run.best_state, "history": run.history,
    }  # fmt: skip


def restore(run: Run, saved: dict[str, Any]) -> None:
    """Take up what `run_state` gave, in place."""
    with torch.no_grad():
        for name, value in _trained(run).items():
            value.copy_(saved["trained"][name])
    run.optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"]["torch"])
    if saved["rng"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["rng"]["cuda"])
    run.order.bit_generator.state = saved["rng"]["order"]
    run.best_precision = saved["best_precision"]
    run.epoch, run.best, run.best_epoch = saved["epoch"], saved["best"], saved["best_epoch"]
    run.best_state, run.history = saved["best_state"], saved["history"]
