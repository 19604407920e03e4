"""The cached frozen trunk: lower layers run once for all epochs, folds and members; packed activations in RAM or a memmap."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.batches import Rows, token_batches
from models.encoder.forward import (
    HiddenBatch,
    padded_rows,
    run_layers,
    token_places,
    token_sums,
    trunk_batches,
)
from models.encoder.load import Encoder
from models.encoder.tokens import Windows
from models.families import FAMILIES

DEFAULT_MEMORY = 4 << 30
"""Bytes of activations kept in RAM; more goes to a memory-mapped file."""
_GPU_SHARE = 0.4
"""Share of a GPU's free memory that activations may take; where they fit they never leave it."""


@dataclass(frozen=True, slots=True)
class Trunk:
    """Activations of the frozen layers for all windows of a training set."""

    windows: Windows
    depth: int
    pooled: tuple[int, ...]
    hidden: Tensor
    """(tokens, hidden) in bf16 or fp16, packed as `windows.ids`, on the GPU, in RAM or in a file; (0, hidden) when no
    layer lies above."""
    frozen: NDArray[np.float32]
    """float32 (windows, pooled layers, hidden): masked sums of the plain base model, above the trunk too."""
    device: torch.device
    dtype: torch.dtype

    def batch(self, rows: Rows) -> HiddenBatch:
        """The activations of some windows, padded, on the encoder's device."""
        places, mask = padded_rows(self.windows.starts, rows)
        flat = torch.from_numpy(places.ravel() if len(self.hidden) else places.ravel()[:0])
        hidden = self.hidden.index_select(0, flat.to(self.hidden.device)).to(
            device=self.device, dtype=self.dtype
        )
        shape = (*places.shape, self.hidden.shape[1] if len(self.hidden) else 0)
        sums = {
            layer: torch.from_numpy(self.frozen[rows, place]).to(self.device)
            for place, layer in enumerate(self.pooled)
            if layer <= self.depth
        }
        return HiddenBatch(rows, hidden.view(shape), torch.from_numpy(mask).to(self.device), sums)

    def batches(self, rows: Rows, budget: int) -> Iterator[HiddenBatch]:
        """The activations of some windows, in token-budget batches."""
        for part in token_batches(self.windows.lengths[rows], budget):
            yield self.batch(rows[part])


def build_trunk(
    encoder: Encoder,
    windows: Windows,
    depth: int,
    pooled: Sequence[int],
    folder: Path,
    memory: int = DEFAULT_MEMORY,
    progress: Callable[[int], None] = lambda _: None,
) -> Trunk:
    """Run the frozen base over all windows once, keeping the activations after layer `depth`.

    Args:
        encoder: the base model.
        windows: of all texts.
        depth: layers below the trained ones.
        pooled: layers whose sums over tokens are kept.
        folder: where a memory-mapped file may lie.
        memory: bytes of activations kept in RAM.
        progress: told the tokens done so far.
    """
    keep = depth < encoder.depth
    hidden = _storage(encoder, windows.tokens if keep else 0, folder, memory)
    sums = np.zeros((len(windows.lengths), len(pooled), encoder.hidden_size), dtype=np.float32)
    upper = encoder.layers[depth:]
    done = 0
    for batch in trunk_batches(encoder, windows, depth, pooled):
        if keep:
            places = torch.from_numpy(token_places(windows.starts, batch.rows)).to(hidden.device)
            hidden[places] = batch.tokens.to(hidden.device, hidden.dtype)
        found = upper_sums(batch, upper, depth, pooled)
        sums[batch.rows] = found.cpu().numpy()
        done += int(windows.lengths[batch.rows].sum())
        progress(done)
    return Trunk(windows, depth, tuple(pooled), hidden, sums, encoder.device, encoder.dtype)


def upper_sums(
    batch: HiddenBatch, upper: nn.ModuleList | Sequence[nn.Module], depth: int, pooled: Sequence[int]
) -> Tensor:
    """Masked sums of the pooled layers, float32 (batch, pooled layers, hidden), running `upper` on the batch.

    Keeps gradients unless the caller turned them off.
    """
    sums = dict(batch.sums)
    for level, hidden in enumerate(run_layers(upper, batch.hidden, batch.place), depth + 1):
        if level in pooled:
            sums[level] = token_sums(hidden, batch.place)
    return torch.stack([sums[layer] for layer in pooled], dim=1)


def window_sums(
    batches: Iterable[HiddenBatch],
    uppers: Sequence[nn.ModuleList],
    depth: int,
    pooled: Sequence[int],
    shape: tuple[int, int],
) -> list[NDArray[np.float32]]:
    """Masked sums of all windows under each of several members' upper layers: float32 (windows, pooled layers, hidden) each.

    The batches are read once, so members share one pass through the trunk.

    Args:
        batches: from `trunk_batches` or `Trunk.batches`.
        uppers: each member's layers above `depth`.
        depth: layers of the trunk.
        pooled: layers wanted.
        shape: windows in all, hidden size.
    """
    results = [np.zeros((shape[0], len(pooled), shape[1]), dtype=np.float32) for _ in uppers]
    for batch in batches:
        for result, upper in zip(results, uppers, strict=True):
            with torch.inference_mode():
                found = upper_sums(batch, upper, depth, pooled)
            result[batch.rows] = found.cpu().numpy()
    return results


def text_means(sums: NDArray[np.float32], windows: Windows, rows: Rows | None = None) -> NDArray[np.float32]:
    """Mean over all tokens of a text's windows: float32 (texts, pooled layers · hidden).

    Args:
        sums: float32 (windows, pooled layers, hidden).
        windows: which text each window belongs to.
        rows: the texts wanted; None for all.
    """
    first = windows.first_window[:-1]
    totals = np.add.reduceat(sums, first, axis=0) if len(first) else sums
    means: NDArray[np.float32] = (totals / windows.text_lengths[:, None, None]).astype(np.float32)
    flat = means.reshape(len(means), -1)
    return flat if rows is None else flat[rows]


def _reserved(path: Path, size: int) -> Path:
    """A file with room for all of it: a disk too small is an OSError now, not a SIGBUS in the middle of writing."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return path


def _storage(encoder: Encoder, tokens: int, folder: Path, memory: int) -> Tensor:
    wide = encoder.dtype == torch.bfloat16 or FAMILIES[encoder.family].residual
    dtype = torch.bfloat16 if wide else torch.float16
    shape = (tokens, encoder.hidden_size)
    size = tokens * encoder.hidden_size * 2
    if encoder.device.type == "cuda" and size <= torch.cuda.mem_get_info(encoder.device)[0] * _GPU_SHARE:
        return torch.empty(shape, dtype=dtype, device=encoder.device)
    if size <= memory:
        return torch.empty(shape, dtype=dtype)
    # numpy has no bf16: the file holds 16-bit words that torch reads as what they are.
    mapped = np.memmap(_reserved(folder / "trunk.bin", size), dtype=np.int16, mode="r+", shape=shape)
    return torch.from_numpy(mapped).view(dtype)
