"""One-vs-rest logistic regression of all options at once on dense features: the probe baseline and the head's warm start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.scheme import MISSING, YES, Labels

PENALTY = 60.0
"""Strength of the squared penalty on the weights of standardised features, in units of rows."""
_ITERATIONS = 60
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted linear model on standardised features, with an optional scale on the wide logits."""

    mean: NDArray[np.float32]
    spread: NDArray[np.float32]
    weights: NDArray[np.float32]
    """float32 (features, options)."""
    bias: NDArray[np.float32]
    wide_scale: NDArray[np.float32]
    """float32 (options); zeros without a wide branch."""

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (rows, options), without the wide branch."""
        standardised: NDArray[np.float32] = (features - self.mean) / self.spread
        found: NDArray[np.float32] = standardised @ self.weights + self.bias
        return found


def positive_weights(labels: Labels) -> NDArray[np.float32]:
    """Weight of an option's positives in the loss: min(10, √(negatives / positives)), float32 (options)."""
    positives = (labels == YES).sum(axis=0)
    negatives = ((labels != MISSING) & (labels != YES)).sum(axis=0)
    ratio = np.sqrt(negatives / np.maximum(positives, 1))
    weights: NDArray[np.float32] = np.clip(ratio, 1.0, 10.0).astype(np.float32)
    return weights


def fit_linear(
    features: NDArray[np.float32], labels: Labels, wide: NDArray[np.float32] | None = None
) -> Linear:
    """Fit all options together by L-BFGS on the weighted, masked logistic loss.

    Args:
        features: float32 (rows, features).
        labels: int8 (rows, options).
        wide: float32 (rows, options), crossed logits of the wide branch, fed as one more feature per option.
    """
    mean = features.mean(axis=0)
    spread = np.maximum(features.std(axis=0), _LEAST_SPREAD)
    x = torch.from_numpy((features - mean) / spread)
    y = torch.from_numpy((labels == YES).astype(np.float32))
    weight = torch.from_numpy(np.where(labels == YES, positive_weights(labels), 1.0).astype(np.float32))
    weight *= torch.from_numpy((labels != MISSING).astype(np.float32))
    beside = torch.from_numpy(wide) if wide is not None else torch.zeros_like(y)
    w = torch.zeros(x.shape[1], y.shape[1], requires_grad=True)
    b = torch.zeros(y.shape[1], requires_grad=True)
    s = torch.full((y.shape[1],), float(wide is not None), requires_grad=wide is not None)
    optimizer = torch.optim.LBFGS(
        [w, b, s] if wide is not None else [w, b], max_iter=_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ w + b + s * beside
        fit = functional.binary_cross_entropy_with_logits(logits, y, weight, reduction="sum")
        total: torch.Tensor = fit + 0.5 * PENALTY * (w * w).sum() + 0.5 * (b * b).sum() * 1e-3
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = (value.detach().numpy().astype(np.float32) for value in (w, b, s))
    return Linear(mean.astype(np.float32), spread.astype(np.float32), *fitted)
