"""Cross-entropy over a large vocabulary without keeping its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2048
"""Tokens whose logits exist at one time."""
CPU_CHUNK = 256
"""The same on a CPU: few enough for its cache, enough for products at full speed."""


class _ChunkedLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen output layer: the gradient of the hidden states is taken while the logits are there."""

    @staticmethod
    def forward(context: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = _chunk(hidden)
        # One piece of memory for all chunks: the system hands out pages of this size slowly.
        room = weight.new_empty(min(rows, len(hidden)), len(weight))
        for part in range(0, len(hidden), rows):
            inside = slice(part, part + rows)
            chosen = hidden[inside]
            logits = torch.mm(chosen, weight.t(), out=room[: len(chosen)])
            logits = (logits if bias is None else logits.add_(bias)).float()
            places = torch.arange(len(logits), device=hidden.device), targets[inside]
            right = logits[places]
            # In place: the probabilities take the logits' memory, which is the largest there is.
            largest = logits.amax(dim=-1, keepdim=True)
            powers = logits.sub_(largest).exp_()
            sums = powers.sum(dim=-1, keepdim=True)
            total += (sums.log() + largest).sum() - right.sum()
            probabilities = powers.div_(sums)
            probabilities[places] -= 1
            torch.mm(probabilities.to(weight.dtype), weight, out=gradient[inside])
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
    rows = _chunk(hidden)
    parts = [
        functional.cross_entropy(
            functional.linear(hidden[part : part + rows], weight, bias).float(),
            targets[part : part + rows],
            reduction="none",
        )
        for part in range(0, len(hidden), rows)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, device=hidden.device)


def _chunk(hidden: Tensor) -> int:
    return CPU_CHUNK if hidden.device.type == "cpu" else CHUNK
