"""Forward passes of a frozen encoder: padded batches in, hidden states and masked sums out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.batches import CPU_BUDGET, GPU_BUDGET, Rows, token_batches
from models.encoder.frames import frame_of, step_of
from models.encoder.load import Encoder
from models.encoder.tokens import Windows, tokenize
from models.families import FAMILIES


@dataclass(frozen=True, slots=True)
class HiddenBatch:
    """Hidden states of some windows after the trunk."""

    rows: Rows
    """int64 (batch): which windows."""
    hidden: Tensor
    """(batch, length, hidden), padded."""
    mask: Tensor
    """bool (batch, length): true at tokens."""
    sums: dict[int, Tensor]
    """Per pooled layer within the trunk: float32 (batch, hidden), the sum over tokens."""


def budget_of(encoder: Encoder) -> int:
    """Padded tokens per batch that suit the device: small ones stay in a CPU's cache, large ones fill a GPU."""
    return GPU_BUDGET if encoder.device.type == "cuda" else CPU_BUDGET


def padded_rows(starts: NDArray[np.int64], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the tokens of packed windows lie: int64 (rows, longest), 0 at padding, and bool mask of the same shape."""
    lengths = starts[rows + 1] - starts[rows]
    place = np.arange(int(lengths.max()), dtype=np.int64)[None, :]
    mask = place < lengths[:, None]
    return np.where(mask, starts[rows][:, None] + place, 0), mask


def embedded(encoder: Encoder, ids: Tensor) -> Tensor:
    """Hidden states (batch, length, hidden) below the first layer, for token ids int64 (batch, length)."""
    table = attrgetter(FAMILIES[encoder.family].embeddings)(encoder.model)
    found: Tensor = table(ids)
    return found


def masked_sum(hidden: Tensor, mask: Tensor) -> Tensor:
    """Sum over tokens: float32 (batch, hidden)."""
    return (hidden * mask[:, :, None]).sum(dim=1, dtype=torch.float32)


def run_layers(layers: Sequence[nn.Module] | nn.ModuleList, hidden: Tensor, mask: Tensor) -> Iterator[Tensor]:
    """Hidden states (batch, length, hidden) after each of some layers in turn; after a model's last layer, its last norm."""
    step = step_of(layers, hidden, mask)
    for layer in layers:
        hidden = step(layer, hidden)
        final = frame_of(layer).final
        yield hidden if final is None else final(hidden)


def trunk_batches(
    encoder: Encoder, windows: Windows, depth: int, pooled: Sequence[int], budget: int | None = None
) -> Iterator[HiddenBatch]:
    """Run the lowest `depth` layers over all windows, longest first, a batch at a time, without gradients.

    Args:
        encoder: the base model.
        windows: what `tokenize` gave.
        depth: layers to run; 0 gives the embeddings.
        pooled: layers whose masked sums are wanted; those above `depth` are left to the caller.
        budget: padded tokens per batch; None for the device's own.
    """
    for rows in token_batches(windows.lengths, budget or budget_of(encoder)):
        places, mask_array = padded_rows(windows.starts, rows)
        mask = torch.from_numpy(mask_array).to(encoder.device)
        ids = torch.from_numpy(windows.ids[places].astype(np.int64)).to(encoder.device)
        ids = ids.masked_fill(~mask, encoder.pad_id)
        with torch.inference_mode():
            hidden = embedded(encoder, ids)
            sums: dict[int, Tensor] = {}
            for level, hidden in enumerate(run_layers(encoder.layers[:depth], hidden, mask), 1):  # noqa: B020
                if level in pooled:
                    sums[level] = masked_sum(hidden, mask)
        yield HiddenBatch(rows, hidden, mask, sums)


def embed(encoder: Encoder, texts: Sequence[str], max_tokens: int = 256) -> NDArray[np.float32]:
    """Sentence embeddings: float32 (texts, hidden), mean over the last layer's tokens, of length 1.

    As sentence-transformers computes them, except that a text longer than `max_tokens` is read to its end in windows.
    """
    windows = tokenize(encoder, texts, max_tokens)
    sums = np.zeros((len(texts), encoder.hidden_size), dtype=np.float32)
    for batch in trunk_batches(encoder, windows, encoder.depth, (encoder.depth,)):
        np.add.at(sums, windows.text_of[batch.rows], batch.sums[encoder.depth].cpu().numpy())
    norms: NDArray[np.float32] = np.linalg.norm(sums, axis=1, keepdims=True).astype(np.float32)
    return np.divide(sums, np.maximum(norms, np.float32(1e-12)), dtype=np.float32)
