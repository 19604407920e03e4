"""The product of a linear with LoRA on a CPU, with a backward pass of its own: LoRA is added to the weight, not to the activations.

What PyTorch derives from W·x + s·B·(A·x) reads and writes every activation twice more in each direction. Added to the
weight once a step, LoRA costs as much as `rank` tokens, and training sees the very weight that will be served. The
gradients of A and B are exact for the added weight; rounding it to bf16 is passed over (a straight-through estimate).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class AddedProduct(torch.autograd.Function):
    """x·(W + s·B·A)ᵀ + b for a frozen W and b."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scaling: float
    ) -> Tensor:
        """(…, in) -> (…, out), in the dtype of `x`; `down` (rank, in) and `up` (out, rank) are fp32."""
        low, high = down.to(x.dtype), (up * scaling).to(x.dtype)
        added = torch.addmm(weight, high, low)
        ctx.save_for_backward(x, added, low, high)
        ctx.scaling = scaling
        return functional.linear(x, added, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Slopes of x, A and B; frozen weights get none."""
        x, added, low, high = ctx.saved_tensors
        flat, given = slope.reshape(-1, slope.shape[-1]), x.reshape(-1, x.shape[-1])
        of_x = (flat @ added).view(x.shape) if ctx.needs_input_grad[0] else None
        of_down = ((flat @ high).t() @ given).float()
        of_up = ((given @ low.t()).t() @ flat).t().float() * ctx.scaling
        return of_x, None, None, of_down, of_up, None
