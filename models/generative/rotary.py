"""Rotary positions as one function with a backward pass of its own, for fp32 on a CPU; Su et al. (2021), "RoFormer".

transformers turns heads by a negation, a concatenation, two products and a sum, each a pass over all numbers, and as many
backwards.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Rotated(torch.autograd.Function):
    """Pairs of numbers of every head turned by the angles of their token."""

    @staticmethod
    def forward(ctx: Any, heads: Tensor, cos: Tensor, sin: Tensor, neighbours: bool) -> Tensor:
        """(1, tokens, heads, size) likewise.

        Args:
            ctx: of the function.
            heads: float32 (1, tokens, heads, size).
            cos: float32 (1, tokens, 1, turned), the same for both of a pair; numbers beyond `turned` stay. `sin` likewise.
            neighbours: pairs are neighbours, as in GPT-J; else number i and i + turned / 2, as in Llama.
        """
        ctx.save_for_backward(cos, sin)
        ctx.neighbours = neighbours
        return turned(heads, cos, sin, neighbours, 1.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        """Turned back."""
        cos, sin = ctx.saved_tensors
        return turned(slope, cos, sin, ctx.neighbours, -1.0), None, None, None


def turned(heads: Tensor, cos: Tensor, sin: Tensor, neighbours: bool, way: float) -> Tensor:
    """Heads turned by their angles: (…, heads, size) likewise, as `Rotated.forward` says.

    way: 1 forwards, -1 back.
    """
    width = cos.shape[-1]
    if width == heads.shape[-1]:
        result = heads * cos
    else:
        result = heads.clone()
        result[..., :width].mul_(cos)
    half = width // 2
    first, second = (
        (slice(0, width, 2), slice(1, width, 2)) if neighbours else (slice(0, half), slice(half, width))
    )
    result[..., first].addcmul_(heads[..., second], sin[..., first], value=-way)
    result[..., second].addcmul_(heads[..., first], sin[..., second], value=way)
    return result
