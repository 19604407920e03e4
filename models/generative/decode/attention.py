"""Attention of a decoding step: one new token per sequence over what its slot holds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def step_mask(positions: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
    """(rows, 1, 1, longest): 0 up to each row's position, minus infinity after it."""
    reach = torch.arange(longest, device=positions.device)
    mask = torch.zeros((len(positions), longest), dtype=dtype, device=positions.device)
    mask.masked_fill_(reach[None, :] > positions[:, None], float("-inf"))
    return mask[:, None, None, :]


def attend_step(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Softmax attention of one query per row and head.

    Args:
        query: (rows, heads, size).
        keys: (rows, heads or a divisor of them, tokens, size). `values` likewise.
        mask: (rows, 1 or heads, 1, tokens), added to the scores.
        scale: of the scores.

    Returns:
        (rows, heads · size).
    """
    rows, heads, size = query.shape
    shared = keys.shape[1]
    # Heads that share keys stand beside each other as queries of one head: nothing is repeated.
    grouped = query.view(rows, shared, heads // shared, size)
    mixed = functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scale)
    return mixed.reshape(rows, heads * size)
