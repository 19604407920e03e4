"""A short measurement of generative training: a few real steps, a held-out pass and, for pairs, a few summaries; all of it thrown away."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from models.data.near_duplicates import content_digests, signatures
from models.generative.causal import token_ids
from models.generative.estimate import EPOCHS, MOST_UNITS, GenerativeMeasured
from models.generative.fit import PATIENCE
from models.generative.inputs import Documents, read_documents
from models.generative.load import Base, checkpoint_activations, load_base
from models.generative.material import Material, make_material
from models.generative.plan import UNKNOWN_SPEED, measured_speed
from models.generative.prompts import PREFIXES
from models.generative.seq2seq import generate, token_pairs
from models.generative.split import FEWEST_FOR_STOPPING, STOPPING_SHARE, Split
from models.training.errors import TrainingRefusedError

_RELOAD_SHARE = 1.3
"""The reload check loads base and adapter in a fresh process and reads a few tokens."""
_RATE = 1e-4
_READ_CHARACTERS = 8000
"""Enough to know how fast documents are read."""
_SUMMARIES = 8


@dataclass(slots=True)
class _Counted:
    """Tokens read so far."""

    tokens: int = 0

    def add(self, tokens: int) -> None:
        """Count more."""
        self.tokens += tokens


@dataclass(frozen=True, slots=True)
class _Speeds:
    """What training and reading came to, and the most memory that they took."""

    training: float
    reading: float
    seconds_per_summary: float
    memory_bytes: int
    device_memory_bytes: int


def measure(input_dir: Path, started: float, beat: Callable[[], None] = lambda: None) -> GenerativeMeasured:
    """Measure the request of a generative training folder on its documents, which should be few.

    Args:
        input_dir: as `models.generative.run.train` reads it.
        started: when this process began, on the monotonic clock.
        beat: called between the parts of the measurement.

    Raises:
        TrainingRefusedError: the request or the documents cannot be trained on.
        ModelUnavailableError: the base model cannot be had.
    """
    given = read_documents(input_dir)
    # Summaries are timed apart from the reading of held-out pairs.
    given = replace(given, request=given.request.model_copy(update={"rouge_pairs": 0}))
    base = load_base(given.request)
    if given.request.activation_checkpointing:
        checkpoint_activations(base.model)
    start_seconds = time.monotonic() - started
    loaded, on_device = psutil.Process().memory_info().rss, _allocated(base.device)
    beat()
    began = time.monotonic()
    signatures(given.texts)
    content_digests(given.texts)
    material = make_material(base, given, _every_row(given))
    prepare_seconds = time.monotonic() - began
    beat()
    speeds = _speeds(base, given, material, beat)
    kind, pairs = given.request.task, given.request.task == "summarize"
    own = _ratio(base, given.texts)
    return GenerativeMeasured(
        tokens_per_second=speeds.training,
        read_tokens_per_second=speeds.reading,
        seconds_per_summary=speeds.seconds_per_summary,
        start_seconds=start_seconds,
        prepare_seconds_per_character=prepare_seconds / max(1, sum(map(len, given.texts))),
        end_seconds=_RELOAD_SHARE * start_seconds,
        characters_per_token=own,
        target_characters_per_token=_ratio(base, given.summaries) if pairs else own,
        extra_tokens=_extra_tokens(base, given),
        memory_bytes=speeds.memory_bytes,
        loaded_bytes=loaded,
        device_memory_bytes=speeds.device_memory_bytes,
        device_loaded_bytes=on_device,
        trained_weights=sum(value.numel() for value in base.trained.values()),
        layers=_layers(base),
        block_tokens=material.block_tokens,
        epochs=EPOCHS[kind],
        patience=PATIENCE,
        stopping_share=STOPPING_SHARE,
        fewest_for_stopping=FEWEST_FOR_STOPPING,
    )


def _every_row(given: Documents) -> Split:
    """All documents are trained on; the first of them, about as many tokens as are needed, are also read as held-out ones are."""
    rows = np.arange(len(given.keys), dtype=np.int64)
    characters = np.cumsum([len(text) for text in given.texts])
    few = 1 + int(np.searchsorted(characters, _READ_CHARACTERS))
    return Split(rows, rows[:0], rows[:few], 0, 0)


def _speeds(base: Base, given: Documents, material: Material, beat: Callable[[], None]) -> _Speeds:
    """Train, read and, for pairs, write a little."""
    kind, device = given.request.task, base.device
    # As `models.generative.plan.make_plan`, for a job with plenty of data.
    micro = MOST_UNITS[kind] if device.type == "cuda" or kind == "summarize" else 1
    training = _training_speed(base, material, micro)
    _step(base)
    beat()
    began, read = time.monotonic(), _Counted()
    material.measure(beat, read.add)
    reading = read.tokens / max(1e-6, time.monotonic() - began)
    seconds_per_summary = _summary_seconds(base, given, beat) if kind == "summarize" else 0.0
    return _Speeds(
        training=training,
        reading=max(1.0, reading),
        seconds_per_summary=seconds_per_summary,
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
    )


def _training_speed(base: Base, material: Material, micro: int) -> float:
    """Tokens a second; with fewer activations kept where a GPU does not hold them, as the fit would do."""
    for _attempt in range(2):
        speed, _micro = measured_speed(material.task, micro, base.device)
        if speed > UNKNOWN_SPEED:
            return speed
        checkpoint_activations(base.model)
    raise TrainingRefusedError(
        "out-of-memory",
        "base_model",
        "the device's memory does not hold one block, even with activation checkpointing: use a smaller base model, QLoRA, or "
        "shorter blocks (block_tokens, max_input_tokens)",
    )


def _step(base: Base) -> None:
    """An optimizer step, so that its moments are in memory."""
    parameters = list(base.trained.values())
    torch.optim.AdamW(parameters, lr=_RATE, weight_decay=0.0).step()


def _summary_seconds(base: Base, given: Documents, beat: Callable[[], None]) -> float:
    request = given.request
    most = (request.max_input_tokens, request.max_target_tokens)
    texts, summaries = given.texts[:_SUMMARIES], given.summaries[:_SUMMARIES]
    pairs = token_pairs(base, texts, summaries, PREFIXES[request.style], most)
    began = time.monotonic()
    generate(base, pairs, most[1], beat, lambda _: None)
    return (time.monotonic() - began) / len(pairs)


def _ratio(base: Base, texts: Sequence[str]) -> float:
    """Characters per token."""
    ids = base.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return max(0.1, sum(map(len, texts)) / max(1, sum(map(len, ids))))


def _extra_tokens(base: Base, given: Documents) -> int:
    """Of a document or a prefixed text: what the model reads of an empty one."""
    request = given.request
    if request.task == "causal":
        return len(token_ids(base, [""])[0])
    most = (request.max_input_tokens, request.max_target_tokens)
    return len(token_pairs(base, [""], [""], PREFIXES[request.style], most).sources[0])


def _layers(base: Base) -> int:
    config: Any = base.model.config
    return int(config.num_hidden_layers) + int(getattr(config, "num_decoder_layers", 0))


def _allocated(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
