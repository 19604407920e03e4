"""How big a train job is, noted before it begins, so that want of memory or disk can be answered with what would fit."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from models.catalog import ModelUnavailableError, locate
from models.training.estimate import (
    CHARACTERS_PER_TOKEN,
    DEFAULT_TRUNK_BYTES,
    Size,
    base_size,
    tokens_of,
)
from models.training.request import AUTO_TOKENS, TrainRequest, read_request
from workers.failures import SIZE_FILE

_GPU_BATCH, _CPU_BATCH = 8192, 2048


def note_size(work_dir: Path, inputs: Path) -> None:
    """Write the size of a training folder's job into its work folder; nothing where the base model cannot be read (training says so)."""
    try:
        size = size_of(read_request(inputs / "request.json"), inputs)
    except (ModelUnavailableError, OSError, ValueError):
        return
    (work_dir / SIZE_FILE).write_text(json.dumps(size.to_document()), encoding="utf-8")


def size_of(request: TrainRequest, inputs: Path) -> Size:
    """The size of the job in a training folder, tokens as English prose would have them.

    Raises:
        ModelUnavailableError, OSError, ValueError: the base model's config cannot be read.
    """
    from models.data.folds import AUTO_FOLDS
    from models.training.plan import MOST_WINDOWS

    hidden, layers, heads, base_bytes = base_size(locate(request.base_model, request.catalog.settings()))
    characters = pl.read_ipc(inputs / "texts.arrow", columns=["content"])["content"].str.len_chars().to_list()
    labels = np.load(inputs / "labels.npy", mmap_mode="r")
    window = AUTO_TOKENS if request.max_tokens == "auto" else request.max_tokens
    gpu = request.device.startswith("cuda")
    auto_layers = layers if request.method == "full" else layers // 2 if gpu else 1
    return Size(
        texts=len(labels),
        tokens=tokens_of(Counter(characters), CHARACTERS_PER_TOKEN, window, MOST_WINDOWS),
        characters=sum(characters),
        options=labels.shape[1],
        hidden=hidden,
        layers=layers,
        heads=heads,
        base_bytes=base_bytes,
        method=request.method,
        trained_layers=auto_layers
        if request.trained_layers == "auto"
        else min(request.trained_layers, layers),
        rank=request.lora_rank,
        max_tokens=window,
        batch_tokens=(_GPU_BATCH if gpu else _CPU_BATCH)
        if request.batch_tokens == "auto"
        else request.batch_tokens,
        trunk_bytes=DEFAULT_TRUNK_BYTES if request.memory_bytes == "auto" else request.memory_bytes,
        folds=AUTO_FOLDS if request.folds == "auto" else request.folds,
    )
