"""Attention within documents: several documents lie in one row of tokens, and none sees another.

Llama (`llama.py`) and GPT-J (`gptj.py`) call it from forwards of their own. On CUDA it is PyTorch's `varlen_attn` (flash attention over cumulative lengths); elsewhere each piece is attended by itself, so that nothing
is computed between documents and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.generative.causal_products import CausalProducts

NAME = "remand_packed"
"""What a model's configuration calls its attention: nothing that transformers would make a mask for."""


@dataclass(slots=True)
class Packing:
    """Where the pieces of the row being read lie; shared by all attention modules of a model and set before each pass."""

    lengths: tuple[int, ...] = ()
    """Tokens of each piece, in order."""
    ends: Tensor | None = None
    """CUDA only: int32 (pieces + 1,), 0 and the cumulative lengths."""
    longest: int = 0
    """Tokens of the longest piece."""

    def set(self, lengths: Sequence[int], device: torch.device) -> None:
        """Take the pieces of the next pass. They stay until the next call: backward may compute the layers again."""
        self.lengths = tuple(lengths)
        self.ends, self.longest = None, max(self.lengths)
        if device.type == "cuda":
            total = torch.tensor([0, *self.lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
            self.ends = total.to(device, non_blocking=True)


def attend(packing: Packing, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Causal softmax attention inside every piece.

    Args:
        packing: pieces that add up to the row's tokens.
        query: (1, heads, tokens, size); `key` and `value` the same with as many or fewer heads, which then are shared.
        scale: of the scores.

    Returns:
        (1, tokens, heads, size).
    """
    if packing.ends is not None:
        return _varlen(packing, query, key, value, scale)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    pieces = zip(
        *(torch.split(part, list(packing.lengths), dim=2) for part in (query, key, value)), strict=True
    )
    mixed = [_piece(q, k, v, scale) for q, k, v in pieces]
    return torch.cat(mixed, dim=1) if len(mixed) > 1 else mixed[0]


def _piece(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """(1, tokens, heads, size) of a piece's (1, heads, tokens, size)."""
    if not (torch.is_grad_enabled() and query.requires_grad):
        # Forwards alone the fused kernel is as quick, and keeps nothing.
        alone = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        return alone.transpose(1, 2)
    mixed: Tensor = CausalProducts.apply(query[0], key[0], value[0], scale)  # type: ignore[no-untyped-call]
    return mixed.transpose(0, 1).unsqueeze(0)


def _varlen(packing: Packing, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    assert packing.ends is not None
    # flash attention computes in half precision only
    dtype = value.dtype if value.dtype in {torch.bfloat16, torch.float16} else torch.bfloat16
    # (1, heads, tokens, size) -> (tokens, heads, size)
    q, k, v = (part[0].transpose(0, 1).to(dtype) for part in (query, key, value))
    mixed = varlen_attn(
        q, k, v, packing.ends, packing.ends, packing.longest, packing.longest,
        scale=scale, window_size=(-1, 0), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    assert isinstance(mixed, Tensor)
    return mixed.unsqueeze(0).to(value.dtype)
