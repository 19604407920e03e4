"""Reading texts with a member in training: from cached activations through the trained layers and the head to logits."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoder.batches import Rows, token_batches
from models.encoder.trunk import upper_sums
from models.training.state import Run
from models.training.task import FitTask, Fitting


def text_logits(fit: Fitting, run: Run, rows: Rows) -> Tensor:
    """Logits of some texts, float32 (texts, options), with gradients where enabled. All windows of a text are read."""
    trunk = fit.trunk
    first = trunk.windows.first_window
    counts = first[rows + 1] - first[rows]
    begins = np.concatenate([[0], np.cumsum(counts)])
    windows = np.repeat(first[rows] - begins[:-1], counts) + np.arange(begins[-1])
    sums = upper_sums(trunk.batch(windows), run.upper, trunk.depth, trunk.pooled).flatten(1)
    tokens = trunk.windows.lengths[windows].astype(np.float32)
    places, lengths = (torch.from_numpy(part).to(sums.device) for part in (begins, tokens))
    logits: Tensor = run.head.read(sums, lengths, places, wide_rows(fit.task, rows, sums.device))
    return logits


def read_rows(fit: Fitting, run: Run, rows: Rows, budget: int) -> NDArray[np.float32]:
    """Logits of many texts without gradients, in token-budget batches: float32 (rows, options)."""
    logits = np.zeros((len(rows), fit.task.labels.shape[1]), dtype=np.float32)
    for part in token_batches(fit.trunk.windows.text_lengths[rows], budget):
        with torch.no_grad():
            logits[part] = text_logits(fit, run, rows[part]).cpu().numpy()
    return logits


def wide_rows(task: FitTask, rows: Rows, device: torch.device) -> Tensor:
    """The wide logits of some rows, zeros without a wide branch: float32 (rows, options)."""
    if task.wide is None:
        return torch.zeros((len(rows), task.labels.shape[1]), device=device)
    return torch.from_numpy(task.wide[rows]).to(device)
