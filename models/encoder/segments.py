"""Flat batches: the tokens of many windows in one stream without padding, and attention within each window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from models.encoder.transfer import to_device
from models.families import FLAT_ATTENTION

_KERNEL_DTYPES = (torch.bfloat16, torch.float16)
"""What the GPU's kernel for windows of any length computes in."""


class Group(NamedTuple):
    """Neighbouring windows of one length: a batch without padding."""

    start: int
    """Place of the first token in the stream."""
    windows: int
    length: int


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the windows of a flat stream of tokens lie."""

    lengths: NDArray[np.int64]
    """int64 (windows), in the order of the stream."""
    groups: tuple[Group, ...]
    bounds: Tensor
    """int32 (windows + 1): window w is tokens bounds[w]:bounds[w + 1]."""
    owner: Tensor
    """int64 (tokens): the window of each."""
    positions: Tensor
    """int64 (1, tokens): places within windows, from 0."""
    near: dict[tuple[int, int], Tensor | None] = field(default_factory=dict)
    """By length and reach, who attends to whom: made when first asked for, shared by the layers."""

    @property
    def longest(self) -> int:
        """Tokens of the longest window."""
        return int(self.lengths.max())

    def neighbours(self, length: int, reach: int | None) -> Tensor | None:
        """Who attends to whom within `reach` tokens: bool (length, length); None for everyone to everyone."""
        if reach is None or length <= reach + 1:
            return None
        if (length, reach) not in self.near:
            place = torch.arange(length, device=self.owner.device)
            self.near[length, reach] = (place[:, None] - place[None, :]).abs() <= reach
        return self.near[length, reach]


def segments_of(lengths: NDArray[np.int64], device: torch.device | str) -> Segments:
    """Segments of windows that lie one after another; in order of length they make the fewest groups.

    Args:
        lengths: int64 (windows), one token each at least.
        device: where the stream is.
    """
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(bounds[-1]) - bounds[:-1][owner]
    changes = np.flatnonzero(np.diff(lengths, prepend=-1))
    counts = np.diff(changes, append=len(lengths))
    groups = tuple(
        Group(int(bounds[first]), int(count), int(lengths[first]))
        for first, count in zip(changes, counts, strict=True)
    )
    return Segments(
        lengths,
        groups,
        to_device(bounds.astype(np.int32), device),
        to_device(owner, device),
        to_device(places[None], device),
    )


def segment_sums(hidden: Tensor, segments: Segments) -> Tensor:
    """Sums over each window's tokens: float32 (windows, hidden), from hidden states (1, tokens, hidden)."""
    stream = hidden[0].float()
    if stream.is_cuda:  # adding by index adds in any order there; this always in the same
        return torch.segment_reduce(stream, "sum", offsets=segments.bounds.long())
    sums = stream.new_zeros((len(segments.lengths), stream.shape[1]))
    return sums.index_add_(0, segments.owner, stream)


def flat_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, segments: Segments | None = None, sliding_window: int | None = None, **rest: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention as transformers calls it: its own for padded batches, within each window where `segments` are given.

    Args:
        module: whose attention it is; causal where it says so.
        query: (1, heads, tokens, size); `key` and `value` likewise, with fewer heads where they are shared.
        attention_mask: of padded batches.
        scaling: of the scores; by default 1 / √size.
        segments: of a flat stream.
        sliding_window: tokens to each side that a token sees, itself counted; None for all.
        **rest: what transformers gives its own attention besides.

    Returns:
        (1, tokens, heads, size), and no weights.
    """
    if segments is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, sliding_window=sliding_window, **rest
        )
        return found
    reach = None if sliding_window is None else sliding_window - 1
    causal = bool(getattr(module, "is_causal", False))
    attend = by_kernel if query.is_cuda and query.dtype in _KERNEL_DTYPES else by_length
    return attend(query, key, value, segments, scaling, causal, reach)[None], None


def by_kernel(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float | None, causal: bool, reach: int | None,
) -> Tensor:  # fmt: skip
    """One kernel for all windows: (tokens, heads, size)."""
    window = (-1 if reach is None else reach, 0 if causal else -1 if reach is None else reach)
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    bounds, longest = segments.bounds, segments.longest
    shared = q.shape[1] != k.shape[1]
    found = varlen_attn(
        q, k, v, bounds, bounds, longest, longest, scale=scale, window_size=window, enable_gqa=shared
    )
    assert isinstance(found, Tensor)
    return found


def by_length(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float | None, causal: bool, reach: int | None,
) -> Tensor:  # fmt: skip
    """A fused product per group of windows of one length, none of them padded or copied: (tokens, heads, size)."""
    _, heads, tokens, size = query.shape
    mixed = query.new_empty((tokens, heads, size))
    shared = heads != key.shape[1]
    for start, windows, length in segments.groups:
        end = start + windows * length
        q, k, v = (
            part[0, :, start:end].view(part.shape[1], windows, length, part.shape[3]).transpose(0, 1)
            for part in (query, key, value)
        )
        seen = segments.neighbours(length, reach)
        found = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, is_causal=causal, scale=scale, enable_gqa=shared
        )
        mixed[start:end].view(windows, length, heads, size).copy_(found.transpose(1, 2))
    return mixed


AttentionInterface.register(FLAT_ATTENTION, flat_attention)
AttentionMaskInterface.register(FLAT_ATTENTION, sdpa_mask)
