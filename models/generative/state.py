"""A fit's checkpoint: complete or absent, with all that a resumed fit needs to end bit-equal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from models.training.checkpoint import load_state, save_state

if TYPE_CHECKING:
    from models.generative.fit import Run

_PLAIN = ("step", "micro", "best", "best_epoch", "best_state", "history", "losses", "checkpointing")


def save(path: Path, run: Run, trained: dict[str, nn.Parameter]) -> None:
    """Replace the checkpoint. The place in the data is the step: each epoch's order follows from seed and epoch."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    save_state(path, {
        "trained": {name: value.detach().cpu() for name, value in trained.items()},
        "optimizer": run.optimizer.state_dict(),
        "rng": {"torch": torch.get_rng_state(), "cuda": cuda},
        **{name: getattr(run, name) for name in _PLAIN},
    })  # fmt: skip


def restore(path: Path, run: Run, trained: dict[str, nn.Parameter]) -> bool:
    """Take up the checkpoint, in place; False where there is none."""
    saved = load_state(path)
    if saved is None:
        return False
    with torch.no_grad():
        for name, value in trained.items():
            value.copy_(saved["trained"][name])
    run.optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"]["torch"])
    if saved["rng"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["rng"]["cuda"])
    for name in _PLAIN:
        setattr(run, name, saved[name])
    return True
