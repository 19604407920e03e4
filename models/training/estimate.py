"""What a train job takes: seconds, memory and disk, by plain arithmetic on its size and on a short measurement. No torch.

The sizes are upper estimates of what training keeps at once; they say what would fit, not what will be used to the byte.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

PROCESS_BYTES = 900 << 20
"""Python with torch, transformers, scikit-learn and polars loaded, and what their allocators keep."""
DEFAULT_TRUNK_BYTES = 4 << 30
"""Activations that are kept in RAM unless `memory_bytes` says otherwise (models/encoder/trunk.py)."""
CHARACTERS_PER_TOKEN = 4.2
"""Of English prose, where nothing was measured."""
_SPECIAL_TOKENS = 2
_BYTES_PER_CHARACTER = 4
_ACTIVATIONS_PER_LAYER = 40
"""fp32 values of the hidden size that a trained layer keeps per token for its backward pass, attention aside."""
_TERMS_PER_TOKEN = 3.0
"""Entries of the TF-IDF matrix per token: words and pairs, each an index and a count."""
_OPTIMIZER_COPIES = 6
"""Of every trained weight: itself, gradient, two moments, best so far, checkpoint in the making."""
_ROOM = 0.8
"""Share of a limit that a suggestion fills."""
_LEAST_TOKENS = 32
_RESERVE = 0.85
"""Share of the time budget that epochs may fill; as models/training/plan.py."""
SLACK = (0.5, 1.6)
"""A job takes between so many times the shorter estimate and so many times the longer one: measurements vary, machines are busy."""


@dataclass(frozen=True, slots=True)
class Size:
    """How big a train job is. Tokens are those of the windows that training reads."""

    texts: int
    tokens: int
    characters: int
    options: int
    hidden: int
    layers: int
    heads: int
    base_bytes: int
    """Of the base model's weights in fp32."""
    method: str = "lora"
    trained_layers: int = 1
    rank: int = 16
    max_tokens: int = 256
    batch_tokens: int = 2048
    trunk_bytes: int = DEFAULT_TRUNK_BYTES
    folds: int = 5

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of `to_document`; members of another version are left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{key: value for key, value in document.items() if key in known})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a short measurement found on a trainer's machine."""

    tokens_per_second: float
    """Of training steps."""
    trunk_tokens_per_second: float
    start_seconds: float
    """Until the base model is loaded."""
    baseline_seconds: float
    """Of the convex fits of one fold, whatever their size."""
    baseline_seconds_per_cell: float
    """More for every training text and option."""
    end_seconds: float
    """Calibration, writing and the reload check in a fresh process."""
    characters_per_token: float
    memory_bytes: int
    """Most that the process took."""
    reads: Mapping[str, float]
    """How often one epoch reads the texts, by folds (`models.training.plan.reads_per_epoch`)."""
    folds: int
    epochs: int
    """What "auto" stands for."""
    max_windows: int
    hidden: int
    layers: int
    heads: int
    base_bytes: int
    trained_layers: int
    max_tokens: int
    batch_tokens: int

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of `to_document`. TypeError for a document of another version."""
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the job will take."""

    seconds: float
    """Where every epoch is kept."""
    start_kept_seconds: float
    """Where no fold's inner split finds an epoch better than the start: inner fits end when patience does, nothing else is trained."""
    low_seconds: float
    high_seconds: float
    epochs: int
    """Within the time budget, where there is one."""
    epochs_asked: int
    tokens: int
    """Read in all, every epoch of every fold counted."""
    memory_bytes: int
    disk_bytes: int


def tokens_of(
    lengths: Mapping[int, int], characters_per_token: float, max_tokens: int, max_windows: int
) -> int:
    """Tokens that training reads, special ones included.

    Args:
        lengths: texts by their number of characters.
        characters_per_token: of this corpus under this tokenizer.
        max_tokens: of a window.
        max_windows: most windows of a text.
    """
    room = max(1, max_tokens - _SPECIAL_TOKENS)
    total = 0
    for characters, texts in lengths.items():
        content = math.ceil(characters / characters_per_token)
        windows = 1
        if content > room:  # windows overlap by an eighth
            windows = min(max_windows, 1 + math.ceil((content - room) / (room - room // 8)))
            content = min(content + (windows - 1) * (room // 8), windows * room)
        total += texts * (content + windows * _SPECIAL_TOKENS)
    return total


def estimate(
    size: Size, measured: Measured, *, epochs: int, patience: int = 1, time_budget_seconds: float | None = None
) -> Estimate:  # fmt: skip
    """Seconds, memory and disk of a train job, for the two ends that training can come to.

    The trunk is read once, every fold fits its baselines once; start and end are as measured. Where every epoch is kept, each
    of them reads, per fold, the inner and then the whole training part, and all texts in the final fit. Where none is better
    than the start, the inner parts are read `patience` times and nothing else. The reading of held-out rows, which needs no
    backward pass, is not counted.

    Args:
        size: of the job.
        measured: on the machine that trains.
        epochs: asked for.
        patience: epochs without improvement after which an inner fit ends.
        time_budget_seconds: cuts epochs, never folds.
    """
    reads = measured.reads[str(size.folds)]
    per_epoch = size.tokens * reads / measured.tokens_per_second if size.method != "probe" else 0.0
    fixed = (
        measured.start_seconds
        + size.tokens / measured.trunk_tokens_per_second
        + (size.folds + 1)
        * (measured.baseline_seconds + size.texts * size.options * measured.baseline_seconds_per_cell)
        + measured.end_seconds
    )
    kept = epochs
    if time_budget_seconds is not None and per_epoch > 0:
        kept = int(min(max((time_budget_seconds * _RESERVE - fixed) // per_epoch, 1), epochs))
    seconds = fixed + per_epoch * kept
    inner = (reads - size.folds) / reads  # of the reads of an epoch, those of inner parts (`reads_per_epoch`)
    start_kept = fixed + per_epoch * inner * min(patience, kept)
    return Estimate(
        seconds=round(seconds, 1),
        start_kept_seconds=round(start_kept, 1),
        low_seconds=round(SLACK[0] * start_kept, 1),
        high_seconds=round(SLACK[1] * seconds, 1),
        epochs=kept,
        epochs_asked=epochs,
        tokens=round(size.tokens * (1 + reads * kept)),
        memory_bytes=max(memory_bytes(size), measured.memory_bytes),
        disk_bytes=disk_bytes(size),
    )


def memory_bytes(size: Size) -> int:
    """Most that the trainer's process takes at once."""
    training = 0
    if size.method != "probe":
        per_token = size.trained_layers * (
            _ACTIVATIONS_PER_LAYER * size.hidden + 3 * size.heads * size.max_tokens
        )
        training = 4 * size.batch_tokens * per_token + 4 * _OPTIMIZER_COPIES * trained_weights(size)
    pooled = 2 * size.hidden * 4
    return int(
        PROCESS_BYTES
        + 2 * size.base_bytes  # read in fp32, then turned into what is computed in
        + min(size.tokens * size.hidden * 2, size.trunk_bytes)
        + 4 * size.texts * pooled  # sums, means, and standardised copies of them
        + 8 * _TERMS_PER_TOKEN * size.tokens * 2
        + _BYTES_PER_CHARACTER * size.characters
        + training
    )


def disk_bytes(size: Size) -> int:
    """Most that the work folder takes: input, trunk file, checkpoints, members, the adapter and its archive."""
    trunk = size.tokens * size.hidden * 2
    weights = 4 * trained_weights(size)
    members = (size.folds + 1) * (weights + 8 * _TERMS_PER_TOKEN * size.options * size.texts)
    return int(
        _BYTES_PER_CHARACTER * size.characters
        + (trunk if trunk > size.trunk_bytes else 0)
        + 2 * _OPTIMIZER_COPIES * weights
        + 3 * members
    )


def trained_weights(size: Size) -> int:
    """Weights with a gradient: LoRA on every linear of the trained layers, or the layers themselves, and the head."""
    layer = {"probe": 0.0, "full": 12.0 * size.hidden**2}.get(size.method, 18.0 * size.hidden * size.rank)
    head = 2 * size.hidden * (64 + size.options) + 64 * size.options
    return int(layer * size.trained_layers + head)


def what_fits(size: Size, limit_bytes: int) -> dict[str, int] | None:
    """The smallest change of settings with which the job fits into a limit; None when even the smallest does not.

    Changes, in this order as far as needed: activations in a file (`memory_bytes`), shorter windows (`max_tokens`), fewer
    layers (`trained_layers`), fewer texts (`limit`).
    """
    room = int(limit_bytes * _ROOM)
    changed: dict[str, int] = {}

    def smaller(name: str, field: str, least: int) -> None:
        nonlocal size
        while memory_bytes(size) > room and getattr(size, field) > least:
            value = max(least, getattr(size, field) // 2)
            size = replace(size, **{field: value})
            changed[name] = value

    start = min(size.trunk_bytes, size.tokens * size.hidden * 2)
    size = replace(size, trunk_bytes=start)
    smaller("memory_bytes", "trunk_bytes", 0)
    smaller("max_tokens", "max_tokens", _LEAST_TOKENS)
    smaller("trained_layers", "trained_layers", 1)
    while memory_bytes(size) > room and size.texts > 100:
        size = replace(size, texts=size.texts // 2, tokens=size.tokens // 2, characters=size.characters // 2)
        changed["limit"] = size.texts
    return None if memory_bytes(size) > room else changed


def base_size(folder: Path) -> tuple[int, int, int, int]:
    """Hidden size, layers, heads and bytes of the weights of a base model folder, read from its config and file sizes.

    Raises:
        OSError, ValueError: no readable config.json.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    hidden = _first(config, "hidden_size", "dim", "d_model", "n_embd")
    layers = _first(config, "num_hidden_layers", "n_layers", "num_layers", "n_layer")
    heads = _first(config, "num_attention_heads", "n_heads", "num_heads", "n_head")
    return hidden, layers, heads, sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _first(config: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise ValueError(f"config.json says none of {', '.join(names)}")
