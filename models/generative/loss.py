"""Cross-entropy over a large vocabulary without keeping its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2048
"""Tokens whose logits exist at one time."""


class _ChunkedLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen output layer: the gradient of the hidden states is taken while the logits are there."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for part in range(0, len(hidden), CHUNK):
            inside = slice(part, part + CHUNK)
            logits = functional.linear(hidden[inside], weight, bias).float()
            places = torch.arange(len(logits), device=hidden.device), targets[inside]
            normaliser = torch.logsumexp(logits, dim=-1)
            total += (normaliser - logits[places]).sum()
            # in place: the probabilities take the logits' memory, which is the largest there is
            probabilities = logits.sub_(normaliser.unsqueeze(1)).exp_()
            probabilities[places] -= 1
            gradient[inside] = probabilities.to(weight.dtype) @ weight
        context.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(context: Any, outer: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = context.saved_tensors
        return gradient * outer.to(gradient.dtype), None, None, None


def summed_loss(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Summed cross-entropy in nats: fp32 scalar.

    Args:
        hidden: (tokens, width), the states that predict `targets`.
        weight: (vocabulary, width) of the output layer, frozen; `bias` (vocabulary,) or None.
        targets: int64 (tokens,).
    """
    loss: Tensor = _ChunkedLoss.apply(hidden, weight, bias, targets)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def token_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Cross-entropy of each token in nats: fp32 (tokens,). Arguments as for `summed_loss`."""
    parts = [
        functional.cross_entropy(
            functional.linear(hidden[part : part + CHUNK], weight, bias).float(),
            targets[part : part + CHUNK],
            reduction="none",
        )
        for part in range(0, len(hidden), CHUNK)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, device=hidden.device)
