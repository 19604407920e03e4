"""The product of a linear with LoRA on a CPU, with a backward pass of its own: LoRA is added to the weight, not to the activations.

What PyTorch derives from W·x + s·B·(A·x) reads and writes every activation twice more in each direction. Added to the
weight once a step, LoRA costs as much as `rank` tokens, and training sees the very weight that will be served. The
gradients of A and B are exact for the added weight; rounding it to bf16 is passed over (a straight-through estimate).
The sum is made again backwards instead of kept, so that one linear's lies in memory at a time and not every layer's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class AddedProduct(torch.autograd.Function):
    """x·(W + s·B·A)ᵀ + b for frozen W and b, of one or more linears that read the same x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scaling: float, *parts: Tensor | None) -> tuple[Tensor, ...]:
        """(…, in) -> (…, out) of each linear, in the dtype of `x`.

        Args:
            ctx: of the function.
            x: (…, in).
            scaling: of B·A.
            *parts: of each linear in turn W (out, in), b (out,) or None, A (rank, in) and B (out, rank), the last two fp32.
        """
        kept, found = [x], []
        for weight, bias, down, up in _four(parts):
            low, high = down.to(x.dtype), (up * scaling).to(x.dtype)
            found.append(functional.linear(x, torch.addmm(weight, high, low), bias))
            kept += [weight, low, high]
        ctx.save_for_backward(*kept)
        ctx.scaling = scaling
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """Slopes of x, As and Bs; frozen weights get none."""
        x, *kept = ctx.saved_tensors
        given = x.reshape(-1, x.shape[-1])
        flats = [slope.reshape(-1, slope.shape[-1]) for slope in slopes]
        weights, lows, highs = kept[::3], kept[1::3], kept[2::3]
        of_x = _slope_of_x(flats, weights, lows, highs, given) if ctx.needs_input_grad[0] else None
        narrow = (given @ torch.cat(lows).t()).split([len(low) for low in lows], dim=1)
        of_parts: list[Tensor | None] = []
        for flat, high, part in zip(flats, highs, narrow, strict=True):
            of_down = ((flat @ high).t() @ given).float()
            of_up = (part.t() @ flat).t().float() * ctx.scaling
            of_parts += [None, None, of_down, of_up]
        return of_x if of_x is None else of_x.view(x.shape), None, *of_parts


def _four(parts: Sequence[Tensor | None]) -> Iterator[tuple[Tensor, Tensor | None, Tensor, Tensor]]:
    for weight, bias, down, up in zip(*(parts[place::4] for place in range(4)), strict=True):
        assert weight is not None
        assert down is not None
        assert up is not None
        yield weight, bias, down, up


def _slope_of_x(
    flats: Sequence[Tensor], weights: Sequence[Tensor], lows: Sequence[Tensor], highs: Sequence[Tensor], like: Tensor
) -> Tensor:  # fmt: skip
    """(tokens, in): the linears' shares added up by the products themselves."""
    result: Tensor | None = None
    for flat, weight, low, high in zip(flats, weights, lows, highs, strict=True):
        added = torch.addmm(weight, high, low)
        result = flat @ added if result is None else result.addmm_(flat, added)
    return torch.zeros_like(like) if result is None else result
