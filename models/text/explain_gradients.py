"""Integrated gradients from blanked embeddings to a text's own, with as many steps as completeness takes.

Sundararajan et al. (2017), "Axiomatic Attribution for Deep Networks"; Gauss-Legendre steps by captum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor

from models.text.explain_model import Carry, Differentiable


@dataclass(frozen=True, slots=True)
class Steps:
    """How carefully the path is walked."""

    first: int = 8
    most: int = 128
    """Steps are doubled up to so many."""
    bound: float = 0.02
    """Completeness error, in logits, that is good enough …"""
    share: float = 0.02
    """… or as a share of the difference that is to be explained, whichever is larger."""
    passes: int = 4096
    """Tokens times passes (one forward, one backward per option) of one piece of arithmetic; one step at least."""


@dataclass(frozen=True, slots=True)
class Integrated:
    """What each token adds to the logit of each option."""

    weights: NDArray[np.float64]
    """float64 (options, windows, length), zero at special tokens and padding."""
    full: NDArray[np.float64]
    """float64 (options): the encoder's part of the logit."""
    blank: NDArray[np.float64]
    """float64 (options): the same of the blanked text."""
    steps: NDArray[np.int64]
    """int64 (options)."""
    bound: NDArray[np.float64]
    """float64 (options): the completeness error that was aimed at."""


def integrate(model: Differentiable, options: Sequence[int], steps: Steps, carry: Carry) -> Integrated:
    """Attribute the logits of some options to the tokens of a text.

    Args:
        model: the text.
        options: columns.
        steps: how carefully.
        carry: carries out each piece.
    """
    columns = np.asarray(options, dtype=np.int64)
    ends = carry(2 * model.mask.numel(), partial(_ends, model)).double().cpu().numpy()[:, columns]
    full, blank = ends
    bound = np.maximum(steps.bound, steps.share * np.abs(full - blank))
    weights = np.zeros((len(columns), *model.mask.shape))
    used = np.zeros(len(columns), dtype=np.int64)
    pending = np.flatnonzero(np.isnan(model.head.fixed.cpu().numpy()[columns]))
    count = steps.first
    while len(pending) and count <= steps.most:
        weights[pending] = _attributions(model, columns[pending], count, steps.passes, carry)
        used[pending] = count
        error = np.abs(weights.sum(axis=(1, 2)) - (full - blank))
        pending = pending[error[pending] > bound[pending]]
        count *= 2
    return Integrated(weights, full, blank, used, bound)


def _ends(model: Differentiable) -> Tensor:
    """Logits of the text and of the blanked one: float32 (2, options)."""
    with torch.inference_mode(mode=False), torch.no_grad():
        return model.logits(torch.stack([model.full, model.blank]))


def _attributions(
    model: Differentiable, columns: NDArray[np.int64], count: int, passes: int, carry: Carry
) -> NDArray[np.float64]:
    """Sums over the embedding's dimensions: float64 (options, windows, length)."""
    options = len(columns)
    cost = model.mask.numel() * (1 + options)
    rows = max(1, min(count, passes // cost))
    captum = IntegratedGradients(model.logits)
    captum.gradient_func = partial(_gradients, carry=carry, options=options)
    with torch.inference_mode(mode=False):
        found = captum.attribute(
            model.full.expand(options, *model.full.shape),
            model.blank.expand(options, *model.blank.shape),
            target=torch.from_numpy(columns).to(model.full.device),
            n_steps=count,
            method="gausslegendre",
            internal_batch_size=rows * options,
        )
    weights: NDArray[np.float64] = found.detach().double().sum(dim=-1).cpu().numpy()
    return weights


def _gradients(
    forward_fn: Any, inputs: tuple[Tensor, ...], target_ind: Tensor, carry: Carry, options: int, **_: Any
) -> tuple[Tensor]:
    """Gradients as captum wants them, (steps · options, …), from one forward pass per step instead of one per option.

    captum lays the options of a step side by side, all with the same input.
    """
    steps = inputs[0].detach()[::options]
    targets = target_ind[:options].tolist()
    tokens = steps.shape[0] * steps.shape[1] * steps.shape[2] * (1 + options)

    def piece() -> Tensor:
        with torch.inference_mode(mode=False), torch.enable_grad():
            given = steps.clone().requires_grad_()
            logits = forward_fn(given)
            parts = [
                torch.autograd.grad(logits[:, target].sum(), given, retain_graph=place + 1 < options)[0]
                for place, target in enumerate(targets)
            ]
        return torch.stack(parts, dim=1).flatten(0, 1)

    return (carry(tokens, piece),)
