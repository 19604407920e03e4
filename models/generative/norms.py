"""Llama's norm as one function with a backward pass of its own, for fp32 on a CPU; Zhang and Sennrich (2019), "Root Mean Square Layer Normalization"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class RootMeanSquare(torch.autograd.Function):
    """x / √(mean x² + ε) · weight, over the last dimension, for a frozen weight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, least: float) -> Tensor:
        """Float32 of any shape; `weight` (width,)."""
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        share = size.square_().div_(x.shape[-1]).add_(least).rsqrt_()
        ctx.save_for_backward(x, weight, share)
        result: Tensor = (x * share).mul_(weight)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Slope of x."""
        x, weight, share = ctx.saved_tensors
        of_x = slope * weight
        common = (of_x * x).sum(dim=-1, keepdim=True).mul_(share.pow(3)).div_(x.shape[-1])
        return of_x.mul_(share).addcmul_(x, common, value=-1.0), None, None
