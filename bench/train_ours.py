"""Steps of our trainer on a clock: full depth, or the upper layers on a cached trunk."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.train_setup import Texts
from models.encoder.batches import CPU_BUDGET, shuffled_batches
from models.encoder.load import Encoder
from models.encoder.tokens import Windows
from models.encoder.trunk import Trunk, build_trunk, text_means
from models.encoder.tuning import Tuning
from models.training.fit import start_fit
from models.training.step import take_step, train_mode
from models.training.task import FitSettings, FitTask

WARM_STEPS = 2
GPU_STEP = 8192


@dataclass(frozen=True, slots=True)
class Speed:
    """One contender's steps."""

    tokens: int
    seconds: float
    cpu_seconds: float
    """Processor time of all threads."""
    trained: int
    """Parameters that are trained."""
    computed: int
    """Tokens with padding."""

    @property
    def rate(self) -> float:
        """Tokens per second, padding not counted."""
        return self.tokens / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Tokens per second of processor time: what a machine that others use slows least."""
        return self.tokens / self.cpu_seconds


def pooled_of(encoder: Encoder) -> tuple[int, ...]:
    """The layers that the head reads."""
    return (max(1, encoder.depth // 2), encoder.depth)


def frozen_trunk(
    encoder: Encoder, windows: Windows, trained_layers: int, folder: Path
) -> tuple[Trunk, float]:
    """The cached trunk below the trained layers, and the tokens per second of its one pass.

    That pass is shared by all epochs, folds and members of a job.
    """
    began = time.perf_counter()
    trunk = build_trunk(encoder, windows, encoder.depth - trained_layers, pooled_of(encoder), folder)
    _wait(encoder)
    return trunk, windows.tokens / (time.perf_counter() - began)


def ours(encoder: Encoder, texts: Texts, trunk: Trunk, tokens: int, rank: int, seed: int) -> Speed:
    """Train LoRA on the layers above a trunk until `tokens` are read, or once through all texts."""
    lengths, rows = trunk.windows.text_lengths, np.arange(len(texts.contents))
    features = text_means(trunk.frozen, trunk.windows)
    task = FitTask("bench", rows, rows[:0], texts.labels, None, features, 60.0, seed, 1)
    budget = GPU_STEP if encoder.device.type == "cuda" else CPU_BUDGET
    settings = FitSettings(3e-4, 1, 1, budget, tuning=Tuning(rank=rank))
    fit, run = start_fit(encoder, trunk, texts.scheme, task, settings, warm=False)
    train_mode(run, True)
    batches = shuffled_batches(lengths, budget, run.order, rows)
    for batch in batches[:WARM_STEPS]:
        take_step(fit, run, batch, _ignore)
    _wait(encoder)
    began, used, read, computed = time.perf_counter(), time.process_time(), 0, 0
    for batch in batches[WARM_STEPS:]:
        take_step(fit, run, batch, _ignore)
        read += int(lengths[batch].sum())
        computed += len(batch) * int(lengths[batch].max())
        if read >= tokens:
            break
    _wait(encoder)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    parameters = sum(p.numel() for group in run.optimizer.param_groups for p in group["params"])
    return Speed(read, seconds, cpu, parameters, computed)


def _wait(encoder: Encoder) -> None:
    if encoder.device.type == "cuda":
        torch.cuda.synchronize(encoder.device)


def _ignore(_name: str, _details: dict[str, Any]) -> None:
    """Listens to no event."""
