"""Attention for training on a CPU: two batched matrix products and a softmax. And GPT-J's, which transformers lacks.

PyTorch's fused CPU kernel is as quick forward, but its backward takes two to five times as long at these lengths
(torch 2.13, head size 32: 62 ms against 27 ms for 16 × 128 tokens on one core).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

NAME = "remand_products"


def product_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, position_bias: Tensor | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Softmax attention without dropout, as transformers calls it.

    Args:
        module: whose attention it is: causal where it says so and no mask is given; with fewer key heads than query heads
            where it has `num_key_value_groups`.
        query: (batch, heads, length, size); `key` and `value` likewise.
        attention_mask: bool, broadcastable to (batch, 1, length, length), true where attended; None for everywhere.
        scaling: of the scores; by default 1 / √size.
        position_bias: added to the scores, broadcastable to (batch, heads, length, length).

    Returns:
        (batch, length, heads, size), and no weights.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    causal = attention_mask is None and bool(getattr(module, "is_causal", False))
    bias = score_bias(query, attention_mask, causal, position_bias)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return _products(query, key, value, bias, scale).transpose(1, 2), None


def score_bias(
    query: Tensor, attention_mask: Tensor | None, causal: bool, position_bias: Tensor | None = None
) -> Tensor | None:
    """What is added to the scores, broadcastable to (batch, heads, length, length); None for nothing."""
    length, least = query.shape[2], torch.finfo(query.dtype).min
    hidden = None
    if attention_mask is not None:
        # One row of the mask serves all queries where padding alone hides keys: it is the same row, expanded.
        rows = attention_mask[:, :, :1] if attention_mask.stride(2) == 0 else attention_mask
        hidden = torch.zeros_like(rows, dtype=query.dtype).masked_fill(~rows, least)
    elif causal and length > 1:
        later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        hidden = torch.zeros_like(later, dtype=query.dtype).masked_fill(later, least)[None, None]
    if position_bias is None:
        return hidden
    return position_bias if hidden is None else position_bias + hidden


def causal_attention(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None
) -> tuple[Tensor, None]:
    """Causal attention in place of `GPTJAttention._attn`, scaled by 1 / √size; a mask, if given, is added to the scores.

    Args:
        query: (batch, heads, length, size); `key` and `value` likewise.
        attention_mask: float, broadcastable to (batch, 1, length, length), with its own causality; None for causal.

    Returns:
        (batch, heads, length, size), and no weights.
    """
    if query.device.type == "cpu" and query.requires_grad:
        bias = score_bias(query, None, attention_mask is None, attention_mask)
        return _products(query, key, value, bias, query.shape[-1] ** -0.5), None
    mixed = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, is_causal=attention_mask is None
    )
    return mixed, None


def use_products(layers: nn.ModuleList) -> nn.ModuleList:
    """Let copied layers attend with `product_attention`, in place. Their configuration must be a copy too."""
    for module in layers.modules():
        config = getattr(module, "config", None)
        if config is not None:
            config._attn_implementation = NAME  # noqa: SLF001 - transformers has no public way for a part of a model
    return layers


def _products(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float) -> Tensor:
    """(batch, heads, length, size) as softmax(scale · query · keyᵀ + bias) · value."""
    batch, heads, length, size = query.shape
    flat = (batch * heads, length, size)
    q, k, v = query.reshape(flat), key.reshape(flat), value.reshape(flat)
    if bias is None:
        scores = torch.bmm(q, k.transpose(1, 2)) * scale
    else:
        spread = bias.expand(batch, heads, -1, length).reshape(batch * heads, -1, length)
        scores = torch.baddbmm(spread, q, k.transpose(1, 2), alpha=scale)
    return torch.bmm(torch.softmax(scores, dim=-1), v).view(batch, heads, length, size)


AttentionInterface.register(NAME, product_attention)
