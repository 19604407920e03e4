"""A finished member as its checkpoint folder keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adapters.member import Weights, read_weights, write_weights
from models.adapters.seen import Seen, read_seen, write_seen


@dataclass(frozen=True, slots=True)
class MemberResult:
    """A finished member, as kept in its checkpoint folder."""

    weights: Weights
    logits: dict[str, NDArray[np.float32]]
    """Held-out logits by reading, float32 (held-out rows, options); empty for the final fit."""
    seen: Seen | None
    facts: dict[str, Any]
    """rows, embargo, best_epoch, inner_epochs, epochs: JSON-ready."""
    epochs: NDArray[np.float16] | None = None
    """float16 (epochs, held-out rows, options): uncalibrated held-out logits after each epoch, from 0 on."""


def write_result(folder: Path, result: MemberResult) -> None:
    """Write a finished member into its checkpoint folder."""
    write_weights(folder, result.weights, None)
    np.savez(folder / "logits.npz", **result.logits)  # type: ignore[arg-type]
    if result.epochs is not None:
        np.savez(folder / "epochs.npz", logits=result.epochs)
    if result.seen is not None:
        write_seen(folder, result.seen)
    (folder / "facts.json").write_text(json.dumps(result.facts))


def read_result(folder: Path) -> MemberResult:
    """Inverse of `write_result`."""
    with np.load(folder / "logits.npz", allow_pickle=False) as arrays:
        logits = {name: arrays[name] for name in arrays.files}
    epochs = None
    if (folder / "epochs.npz").exists():
        with np.load(folder / "epochs.npz", allow_pickle=False) as arrays:
            epochs = arrays["logits"]
    seen = read_seen(folder) if (folder / "seen.json").exists() else None
    facts = json.loads((folder / "facts.json").read_text())
    return MemberResult(read_weights(folder), logits, seen, facts, epochs)
