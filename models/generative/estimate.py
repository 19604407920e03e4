"""What a generative train job takes: seconds, memory and disk, by plain arithmetic on its size and on a short measurement. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from models.training.estimate import SLACK

EPOCHS = {"causal": 3, "summarize": 5}
MOST_UNITS = {"causal": 8, "summarize": 16}
"""Units of an optimizer step where there is plenty of data."""
STEPS_PER_EPOCH = 32
"""With little data a step takes fewer units, so that an epoch has about this many."""
EVALUATION = 1 / 3
"""A token that is only read costs about a third of one that is learned from."""
RESERVE = 0.9
"""Share of the time left that steps may fill."""
_BYTES_PER_CHARACTER = 4
_BYTES_PER_TOKEN = 8
"""Of a token kept in RAM: its id, and its place in a block."""
_STATES = 4
"""Of every trained weight a checkpoint has: itself, two moments, best so far."""
_COPIES = 3
"""Of an adapter's weights on disk: draft, published folder, archive."""


@dataclass(frozen=True, slots=True)
class GenerativeSize:
    """How big a generative train job is. Tokens are those that the model is given."""

    task: str
    documents: int
    """Documents, or pairs of text and summary, that are trained and measured on."""
    characters: int
    tokens: int
    held_out_share: float
    rouge_pairs: int = 0
    """summarize: most held-out pairs that summaries are written for."""


@dataclass(frozen=True, slots=True)
class GenerativeMeasured:
    """What a short measurement found on a trainer's machine. What "auto" stands for and the numbers of the recipe come along."""

    tokens_per_second: float
    """Of training steps."""
    read_tokens_per_second: float
    """Of held-out documents, which are only read."""
    seconds_per_summary: float
    """0 for the causal task."""
    start_seconds: float
    """Until the base model is loaded."""
    prepare_seconds_per_character: float
    """Of looking for duplicates and tokenising."""
    end_seconds: float
    """Writing and the reload check in a fresh process."""
    characters_per_token: float
    target_characters_per_token: float
    """Of summaries."""
    extra_tokens: int
    """Of a document, or of a text with its prefix: begin and end marks."""
    memory_bytes: int
    """Most that the process took."""
    loaded_bytes: int
    """What it took once the base model was loaded; a fresh process takes it again for the reload check."""
    device_memory_bytes: int
    """Most that was allocated on a GPU; 0 on a CPU."""
    device_loaded_bytes: int
    trained_weights: int
    layers: int
    block_tokens: int
    """0 for summaries."""
    epochs: int
    patience: int
    stopping_share: float
    fewest_for_stopping: int

    def to_document(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Inverse of `to_document`. TypeError for a document of another version."""
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Parts:
    """How the documents will be divided, before duplicates are dropped; tokens go by documents."""

    train: int
    stopping: int
    held_out: int


@dataclass(frozen=True, slots=True)
class GenerativeEstimate:
    """What the job will take."""

    seconds: float
    """Where every epoch is kept, or there are too few documents for early stopping."""
    start_kept_seconds: float
    """Where no epoch reads unseen documents better than the base model does: the fit ends when patience does."""
    low_seconds: float
    high_seconds: float
    parts: Parts
    steps: int
    epochs: float
    """Within the time budget, where there is one; then not always whole ones."""
    tokens_read: int
    """Learned from, by all these epochs."""
    memory_bytes: int
    device_memory_bytes: int
    disk_bytes: int


def document_tokens(characters: Sequence[int], measured: GenerativeMeasured) -> int:
    """Tokens of whole documents, by their lengths."""
    each = (
        math.ceil(length / measured.characters_per_token) + measured.extra_tokens for length in characters
    )
    return sum(each)


def pair_tokens(
    lengths: Sequence[tuple[int, int]], measured: GenerativeMeasured, most: tuple[int, int]
) -> int:
    """Tokens of texts and their summaries (characters of each), both cut to `most` (input, target) tokens."""
    return sum(
        min(math.ceil(text / measured.characters_per_token) + measured.extra_tokens, most[0])
        + min(math.ceil(summary / measured.target_characters_per_token) + 1, most[1])
        for text, summary in lengths
    )


def divided(size: GenerativeSize, measured: GenerativeMeasured) -> Parts:
    """About how many documents are trained on, stopped by, and held out (`models.generative.split`)."""
    held_out = min(max(1, round(size.documents * size.held_out_share)), max(1, size.documents - 1))
    left = max(1, size.documents - held_out)
    stopping = max(1, round(left * measured.stopping_share)) if left >= measured.fewest_for_stopping else 0
    return Parts(left - stopping, stopping, held_out)


def units_per_step(task: str, units: int) -> int:
    """Blocks or pairs of an optimizer step, unless the request says."""
    return min(MOST_UNITS[task], max(1, units // STEPS_PER_EPOCH))


def affordable(
    steps: int, train: float, evaluated: float, speed: float, spent: float, budget: float | None
) -> int:
    """Steps that a time budget allows, at least one.

    Args:
        steps: asked for; they read `train` tokens.
        train, evaluated: tokens learned from and, as such, worth of those only read.
        speed: tokens a second.
        spent: seconds used so far.
        budget: seconds of the whole job; None: no limit.
    """
    if budget is None:
        return steps
    left = max(0.0, budget - spent) * RESERVE - evaluated / speed
    return int(min(max(left // max(train / steps / speed, 1e-9), 1), steps))


def estimate_generative(
    size: GenerativeSize, measured: GenerativeMeasured, *, epochs: int, time_budget_seconds: float | None = None
) -> GenerativeEstimate:  # fmt: skip
    """Seconds, memory and disk of a generative train job.

    Start and end are as measured; held-out documents are read, and summaries written, before and after the fit; every epoch
    learns from the training part and reads the part that stops it, which is read once more at the start.

    Args:
        size: of the job.
        measured: on the machine that trains.
        epochs: asked for.
        time_budget_seconds: cuts steps.
    """
    parts = divided(size, measured)
    per_document = size.tokens / max(1, size.documents)
    train, stopping = parts.train * per_document, parts.stopping * per_document
    units = math.ceil(train / measured.block_tokens) if measured.block_tokens else parts.train
    steps_per_epoch = math.ceil(max(1, units) / units_per_step(size.task, max(1, units)))
    start = measured.start_seconds + size.characters * measured.prepare_seconds_per_character
    evaluated = (stopping + parts.held_out * per_document) * EVALUATION * (epochs + 2)
    asked = epochs * steps_per_epoch
    steps = affordable(
        asked, train * epochs, evaluated, measured.tokens_per_second, start, time_budget_seconds
    )
    kept = steps / steps_per_epoch
    held_out = parts.held_out * per_document / measured.read_tokens_per_second
    summaries = min(size.rouge_pairs, parts.held_out) * measured.seconds_per_summary
    look = stopping / measured.read_tokens_per_second
    fixed = start + 2 * (held_out + summaries) + look + measured.end_seconds

    def seconds(over: float) -> float:
        return fixed + over * train / measured.tokens_per_second + math.ceil(over) * look

    whole = seconds(kept)
    start_kept = seconds(min(measured.patience, kept)) if parts.stopping else whole
    return GenerativeEstimate(
        seconds=round(whole, 1),
        start_kept_seconds=round(start_kept, 1),
        low_seconds=round(SLACK[0] * start_kept, 1),
        high_seconds=round(SLACK[1] * whole, 1),
        parts=parts,
        steps=steps,
        epochs=round(kept, 2),
        tokens_read=round(kept * train),
        memory_bytes=memory_bytes(size, measured),
        device_memory_bytes=max(measured.device_memory_bytes, 2 * measured.device_loaded_bytes),
        disk_bytes=disk_bytes(size, measured),
    )


def memory_bytes(size: GenerativeSize, measured: GenerativeMeasured) -> int:
    """Most that the job takes at once: while it trains, or while the reload check has loaded the base model a second time."""
    kept = _BYTES_PER_CHARACTER * size.characters + _BYTES_PER_TOKEN * size.tokens
    states = 2 * 4 * measured.trained_weights  # the best epoch's weights, and a checkpoint in the making
    return kept + max(measured.memory_bytes + states, 2 * measured.loaded_bytes + states)


def disk_bytes(size: GenerativeSize, measured: GenerativeMeasured) -> int:
    """Most that the work folder takes: input, a checkpoint beside the one it replaces, the adapter and its archive."""
    weights = 4 * measured.trained_weights
    return _BYTES_PER_CHARACTER * size.characters + weights * (2 * _STATES + _COPIES)
