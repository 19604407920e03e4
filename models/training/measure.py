"""A short measurement of training: a few texts read, a few steps taken, the convex fits of one fold made once, all of it thrown away."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np

from models.data.folds import AUTO_FOLDS
from models.encoder.tokens import Windows, tokenize
from models.encoder.trunk import DEFAULT_MEMORY, build_trunk
from models.training.base import load_base
from models.training.baselines import probe_logits
from models.training.estimate import Measured, base_size
from models.training.inputs import read_inputs
from models.training.material import Material
from models.training.member_task import member_task
from models.training.plan import (
    AUTO_EPOCHS,
    MOST_WINDOWS,
    make_plan,
    pooled_layers,
    reads_per_epoch,
    trunk_depth,
    window_tokens,
)
from models.training.run import make_material
from models.training.wide import fit_wide

MOST_FOLDS = 20
_RELOAD_SHARE = 1.3
"""The reload check loads everything again in a fresh process and reads a few texts; calibration is small beside that."""
_SPECIAL_TOKENS = 2
_LEAST_SLOPE = 0.1


def measure(input_dir: Path, work_dir: Path, started: float) -> Measured:
    """Measure the request of a training folder on its texts, which should be few.

    Args:
        input_dir: a training folder (docs/architecture.md); what its labels say is of no matter.
        work_dir: an empty folder of its own.
        started: when this process began, on the monotonic clock.

    Raises:
        TrainingRefusedError: the request cannot be trained.
        ModelUnavailableError: the base model cannot be had.
    """
    data = read_inputs(input_dir)
    request = data.request
    encoder = load_base(request)
    start_seconds = time.monotonic() - started
    windows = tokenize(encoder, data.texts, window_tokens(request, encoder), MOST_WINDOWS)
    depth, pooled = trunk_depth(request, encoder), pooled_layers(encoder)
    began = time.monotonic()
    trunk = build_trunk(encoder, windows, depth, pooled, work_dir, DEFAULT_MEMORY)
    trunk_seconds = time.monotonic() - began
    plan = make_plan(encoder, trunk, data, 2, 0.0)
    material, _terms = make_material(encoder, trunk, data, plan)
    fixed, per_cell = _baseline_costs(material)
    hidden, layers, heads, base_bytes = base_size(encoder.path)
    return Measured(
        tokens_per_second=plan.tokens_per_second,
        trunk_tokens_per_second=windows.tokens / max(1e-6, trunk_seconds),
        start_seconds=start_seconds,
        baseline_seconds=fixed,
        baseline_seconds_per_cell=per_cell,
        end_seconds=_RELOAD_SHARE * start_seconds,
        characters_per_token=_characters_per_token(data.texts, windows),
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        reads={str(folds): reads_per_epoch(folds) for folds in range(2, MOST_FOLDS + 1)},
        folds=AUTO_FOLDS,
        epochs=AUTO_EPOCHS,
        max_windows=MOST_WINDOWS,
        hidden=hidden,
        layers=layers,
        heads=heads,
        base_bytes=base_bytes,
        trained_layers=encoder.depth - depth,
        max_tokens=plan.max_tokens,
        batch_tokens=plan.batch_tokens,
    )


def _baseline_costs(material: Material) -> tuple[float, float]:
    """Seconds of one fold's convex fits in any case, and more per cell: a line through a part of the texts and all of them."""
    texts, options = material.data.labels.shape
    few = max(2, texts // 3)
    _baseline_seconds(material, few)  # the first fit of a process also warms up its libraries
    small, whole = _baseline_seconds(material, few), _baseline_seconds(material, texts)
    # Noise must not make a line that falls, or one that says that more texts cost nothing.
    per_cell = max(whole - small, _LEAST_SLOPE * whole) / max(1, (texts - few) * options)
    return max(0.0, whole - per_cell * texts * options), per_cell


def _baseline_seconds(material: Material, texts: int) -> float:
    """Of the convex fits of one fold on the first texts: TF-IDF, crossed wide logits and penalty, the probe."""
    data = material.data
    rows = np.arange(texts, dtype=np.int64)
    began = time.monotonic()
    fit_wide(material.counts, data.labels, rows, data.request.seed)
    member_task(material, "measurement", rows)
    probe_logits(material.features, data.labels, data.groups, rows, rows[:8], data.request.seed)
    return time.monotonic() - began


def _characters_per_token(texts: tuple[str, ...], windows: Windows) -> float:
    """Of the texts that fit into one window; of all of them where none does."""
    counts = np.diff(windows.first_window)
    chosen = counts == 1 if (counts == 1).any() else counts > 0
    tokens = (windows.text_lengths - _SPECIAL_TOKENS * counts)[chosen].sum()
    characters = sum(len(text) for text, kept in zip(texts, chosen, strict=True) if kept)
    return max(0.1, characters / max(1, int(tokens)))
