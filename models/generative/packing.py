"""Attention within documents: several documents lie in one row of tokens, and none sees another.

Llama calls it through transformers' AttentionInterface, GPT-J through a forward of its own (`gptj.py`). On CUDA it is
PyTorch's `varlen_attn` (flash attention over cumulative lengths); elsewhere each piece is attended by itself, so that nothing
is computed between documents and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface

NAME = "remand_packed"
FUSED_FROM = 256
"""On a CPU, tokens of a piece from which PyTorch's fused kernel is used; below, plain products are quicker both ways."""


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
    return torch.cat(mixed, dim=2).transpose(1, 2)


def _piece(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    length = query.shape[2]
    if length >= FUSED_FROM:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
    later = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    scores = ((query * scale) @ key.transpose(-1, -2)).masked_fill(later, float("-inf"))
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype) @ value


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


def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, **_: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """`attend` as transformers calls it; the module carries its `Packing`."""
    assert attention_mask is None, "packed attention takes no mask: documents are told by their lengths"
    packing: Packing = module.packing  # type: ignore[assignment]
    return attend(packing, query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling), None


def pack_attention(model: nn.Module, packing: Packing) -> None:
    """Let every attention of a Llama model attend within the pieces of `packing`, in place."""
    for module in model.modules():
        if hasattr(module, "q_proj") and hasattr(module, "is_causal"):
            module.packing = packing  # type: ignore[assignment]
    # Set on the configuration, not through the model's setter: no mask shall be made for it.
    model.config._attn_implementation = NAME  # type: ignore[union-attr]  # noqa: SLF001


AttentionInterface.register(NAME, packed_attention)
