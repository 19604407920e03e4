"""One-vs-rest logistic regression of all options at once on dense features: the probe baseline and the head's warm start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.data.folds import TooFewGroupsError, assign_folds
from models.scheme import MISSING, YES, Labels
from models.training.metrics import average_precision

PENALTIES = (60.0, 200.0, 600.0, 2000.0)
"""Strengths of the squared penalty on the weights of standardised features, in units of rows, to choose from."""
_ITERATIONS = 60
_CHOICE_PARTS = 3
_CHOICE_ROWS = 4000
_CHOICE_MARGIN = 0.005
"""Average precision that a stronger penalty must gain: the weaker one ranks the rare options better."""
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

    def logits(
        self, features: NDArray[np.float32], wide: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """float32 (rows, options), of features and, where it was fitted with them, wide logits."""
        standardised: NDArray[np.float32] = (features - self.mean) / self.spread
        found: NDArray[np.float32] = standardised @ self.weights + self.bias
        return found if wide is None else found + self.wide_scale * wide


def positive_weights(labels: Labels) -> NDArray[np.float32]:
    """Weight of an option's positives in the loss: min(10, √(negatives / positives)), float32 (options)."""
    positives = (labels == YES).sum(axis=0)
    negatives = ((labels != MISSING) & (labels != YES)).sum(axis=0)
    ratio = np.sqrt(negatives / np.maximum(positives, 1))
    weights: NDArray[np.float32] = np.clip(ratio, 1.0, 10.0).astype(np.float32)
    return weights


def choose_penalty(
    features: NDArray[np.float32],
    labels: Labels,
    groups: Sequence[str],
    seed: int,
    wide: NDArray[np.float32] | None = None,
) -> float:
    """The penalty out of PENALTIES with the best macro average precision, crossed within a training part by group.

    Args:
        features: float32 (rows, features).
        labels: int8 (rows, options).
        groups: the group of each row.
        seed: draws the parts, and the rows where there are more than are needed.
        wide: float32 (rows, options), crossed logits of the wide branch.
    """
    rows = np.random.default_rng(seed).permutation(len(labels))[:_CHOICE_ROWS]
    try:
        parts = assign_folds([groups[row] for row in rows], _CHOICE_PARTS, seed)
    except TooFewGroupsError:
        parts = (np.arange(len(rows)) % _CHOICE_PARTS).astype(np.int32)
    reached = []
    for penalty in PENALTIES:
        logits = np.zeros((len(rows), labels.shape[1]), dtype=np.float32)
        for part in range(_CHOICE_PARTS):
            fit, check = rows[parts != part], rows[parts == part]
            found = fit_linear(features[fit], labels[fit], penalty, None if wide is None else wide[fit])
            logits[parts == part] = found.logits(features[check], None if wide is None else wide[check])
        reached.append(macro_precision(labels[rows], logits))
    best = max(reached)
    return next(
        penalty for penalty, value in zip(PENALTIES, reached, strict=True) if value >= best - _CHOICE_MARGIN
    )


def macro_precision(labels: Labels, logits: NDArray[np.float32]) -> float:
    """Mean average precision over options with a positive and a negative; 0 without any."""
    found = []
    for option in range(labels.shape[1]):
        known = labels[:, option] != MISSING
        truth = labels[known, option] == YES
        if truth.any() and not truth.all():
            found.append(average_precision(truth, logits[known, option]))
    return float(np.mean(found)) if found else 0.0


def fit_linear(
    features: NDArray[np.float32],
    labels: Labels,
    penalty: float,
    wide: NDArray[np.float32] | None = None,
    positive: NDArray[np.float32] | None = None,
) -> Linear:
    """Fit all options together by L-BFGS on the weighted, masked logistic loss.

    Args:
        features: float32 (rows, features).
        labels: int8 (rows, options).
        penalty: weight of half the squared weights.
        wide: float32 (rows, options), crossed logits of the wide branch, fed as one more feature per option.
        positive: float32 (options), weight of positives; None for `positive_weights`.
    """
    positive = positive_weights(labels) if positive is None else positive
    mean = features.mean(axis=0)
    spread = np.maximum(features.std(axis=0), _LEAST_SPREAD)
    x = torch.from_numpy((features - mean) / spread)
    y = torch.from_numpy((labels == YES).astype(np.float32))
    weight = torch.from_numpy(np.where(labels == YES, positive, 1.0).astype(np.float32))
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
        total: torch.Tensor = fit + 0.5 * penalty * (w * w).sum() + 0.5 * (b * b).sum() * 1e-3
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    fitted = (value.detach().numpy().astype(np.float32) for value in (w, b, s))
    return Linear(mean.astype(np.float32), spread.astype(np.float32), *fitted)
