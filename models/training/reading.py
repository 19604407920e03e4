"""Reading texts with a member in training: from cached activations through the trained layers and the head to logits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.adapters.head import window_logits
from models.encoder.batches import Rows, token_batches
from models.encoder.tokens import Windows
from models.encoder.trunk import upper_sums
from models.training.state import Run
from models.training.task import FitTask, Fitting


def text_logits(fit: Fitting, run: Run, rows: Rows) -> Tensor:
    """Logits of some texts, float32 (texts, options), with gradients where enabled. All windows of a text are read."""
    trunk = fit.trunk
    windows, begins = _windows_of(trunk.windows, rows)
    sums = upper_sums(trunk.batch(windows), run.upper, trunk.depth, trunk.pooled).flatten(1)
    tokens = trunk.windows.lengths[windows].astype(np.float32)
    places, lengths = (torch.from_numpy(part).to(sums.device) for part in (begins, tokens))
    logits: Tensor = run.head.read(sums, lengths, places, wide_rows(fit.task, rows, sums.device))
    return logits


def read_rows(fit: Fitting, run: Run, rows: Rows, budget: int) -> NDArray[np.float32]:
    """Logits of many texts without gradients, in token-budget batches: float32 (rows, options).

    Before the first step the layers above the trunk are still the base model's, whose sums the trunk has: no forward pass.
    """
    if run.epoch == 0:
        return _first_reading(fit, run, rows)
    logits = np.zeros((len(rows), fit.task.labels.shape[1]), dtype=np.float32)
    for part in token_batches(fit.trunk.windows.text_lengths[rows], budget):
        with torch.no_grad():
            logits[part] = text_logits(fit, run, rows[part]).cpu().numpy()
    return logits


def _first_reading(fit: Fitting, run: Run, rows: Rows) -> NDArray[np.float32]:
    windows, lengths = fit.trunk.windows, fit.trunk.windows.lengths
    places, begins = _windows_of(windows, rows)
    beside = None if fit.task.wide is None else fit.task.wide[rows]
    return window_logits(run.head, fit.trunk.frozen[places], lengths[places], begins, beside)


def _windows_of(windows: Windows, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows of some texts, in their order: int64 (windows), and int64 (texts + 1) where each text's begin among them."""
    first = windows.first_window
    counts = first[rows + 1] - first[rows]
    begins = np.concatenate([[0], np.cumsum(counts)])
    return np.repeat(first[rows] - begins[:-1], counts) + np.arange(begins[-1]), begins


def wide_rows(task: FitTask, rows: Rows, device: torch.device) -> Tensor:
    """The wide logits of some rows, zeros without a wide branch: float32 (rows, options)."""
    if task.wide is None:
        return torch.zeros((len(rows), task.labels.shape[1]), device=device)
    return torch.from_numpy(task.wide[rows]).to(device)
