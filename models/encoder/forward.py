"""Forward passes of a frozen encoder: batches in, padded or flat, hidden states and sums over tokens out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.encoder.batches import CPU_BUDGET, GPU_BUDGET, Rows, flat_batches, token_batches
from models.encoder.frames import Place, frame_of, step_of
from models.encoder.load import Encoder
from models.encoder.segments import Segments, segment_sums, segments_of
from models.encoder.tokens import Windows, tokenize
from models.encoder.transfer import to_device
from models.families import FAMILIES


@dataclass(frozen=True, slots=True)
class HiddenBatch:
    """Hidden states of some windows after the trunk."""

    rows: Rows
    """int64 (batch): which windows."""
    hidden: Tensor
    """(batch, length, hidden), padded; or a flat stream (1, tokens, hidden)."""
    place: Place
    """Where its tokens lie: bool (batch, length), true at tokens; or the stream's segments."""
    sums: dict[int, Tensor]
    """Per pooled layer within the trunk: float32 (batch, hidden), the sum over tokens."""

    @property
    def mask(self) -> Tensor:
        """Where a padded batch has tokens: bool (batch, length)."""
        assert isinstance(self.place, Tensor), "a flat stream has no padding"
        return self.place

    @property
    def tokens(self) -> Tensor:
        """The hidden states of tokens alone, window by window: (tokens, hidden)."""
        return self.hidden[self.place] if isinstance(self.place, Tensor) else self.hidden[0]

    def part(self, rows: NDArray[np.int64]) -> HiddenBatch:
        """Some of its windows, in this order; padded ones cut to the longest among them.

        Args:
            rows: int64 (windows), places in the batch.
        """
        if len(rows) == len(self.rows) and bool((np.diff(rows) == 1).all()):
            return self
        chosen = to_device(rows, self.hidden.device)
        sums = {layer: found[chosen] for layer, found in self.sums.items()}
        if isinstance(self.place, Tensor):
            mask = self.place[chosen]
            longest = int(mask.sum(dim=1).max())
            return HiddenBatch(self.rows[rows], self.hidden[chosen, :longest], mask[:, :longest], sums)
        lengths = self.place.lengths
        starts = np.concatenate([[0], np.cumsum(lengths)])
        tokens = to_device(token_places(starts, rows), self.hidden.device)
        segments = segments_of(lengths[rows], self.hidden.device)
        return HiddenBatch(self.rows[rows], self.hidden[:, tokens], segments, sums)


def budget_of(encoder: Encoder) -> int:
    """Tokens per batch that suit the device: small ones stay in a CPU's cache, large ones fill a GPU."""
    return GPU_BUDGET if encoder.device.type == "cuda" else CPU_BUDGET


def reads_flat(encoder: Encoder) -> bool:
    """Whether batches are flat where nobody measured: on a CPU, of every family that can be.

    On a GPU it depends on kernels, so there an inference worker measures first.
    """
    return FAMILIES[encoder.family].flat and encoder.device.type == "cpu"


def padded_rows(starts: NDArray[np.int64], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where the tokens of packed windows lie: int64 (rows, longest), 0 at padding, and bool mask of the same shape."""
    lengths = starts[rows + 1] - starts[rows]
    place = np.arange(int(lengths.max()), dtype=np.int64)[None, :]
    mask = place < lengths[:, None]
    return np.where(mask, starts[rows][:, None] + place, 0), mask


def token_places(starts: NDArray[np.int64], rows: Rows) -> NDArray[np.int64]:
    """Where the tokens of some packed windows lie, one window after another: int64 (tokens)."""
    lengths = starts[rows + 1] - starts[rows]
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts[rows] - before, lengths) + np.arange(int(lengths.sum()))


def embedded(encoder: Encoder, ids: Tensor, place: Place | None = None) -> Tensor:
    """Hidden states below the first layer, for token ids int64 (batch, length), or (1, tokens) of a flat stream."""
    family = FAMILIES[encoder.family]
    table = attrgetter(family.embeddings)(encoder.model)
    if not isinstance(place, Segments) or not family.places:
        found: Tensor = table(ids)
        return found
    positions = place.positions
    if family.positions_lost:  # RoBERTa's: counted after the padding index, over which padding stays
        given = (ids[0] != table.padding_idx).long()
        before = given.cumsum(0) - given
        counted = before - before[place.bounds[:-1].long()][place.owner] + 1
        positions = (counted * given)[None] + table.padding_idx
    placed: Tensor = table(ids, position_ids=positions)
    return placed


def masked_sum(hidden: Tensor, mask: Tensor) -> Tensor:
    """Sum over tokens: float32 (batch, hidden)."""
    return (hidden * mask[:, :, None]).sum(dim=1, dtype=torch.float32)


def token_sums(hidden: Tensor, place: Place) -> Tensor:
    """Sum over the tokens of each window, padded or flat: float32 (batch, hidden)."""
    return segment_sums(hidden, place) if isinstance(place, Segments) else masked_sum(hidden, place)


def run_layers(layers: Sequence[nn.Module] | nn.ModuleList, hidden: Tensor, place: Place) -> Iterator[Tensor]:
    """Hidden states after each of some layers in turn, in the shape of those given; after a model's last layer, its last norm."""
    step = step_of(layers, hidden, place)
    for layer in layers:
        hidden = step(layer, hidden)
        final = frame_of(layer).final
        yield hidden if final is None else final(hidden)


def trunk_batches(
    encoder: Encoder,
    windows: Windows,
    depth: int,
    pooled: Sequence[int],
    budget: int | None = None,
    flat: bool | None = None,
) -> Iterator[HiddenBatch]:
    """Run the lowest `depth` layers over all windows, longest first, a batch at a time, without gradients.

    Args:
        encoder: the base model.
        windows: what `tokenize` gave.
        depth: layers to run; 0 gives the embeddings.
        pooled: layers whose masked sums are wanted; those above `depth` are left to the caller.
        budget: tokens per batch, padding included; None for the device's own.
        flat: whether batches are streams without padding; None for what suits the device.
    """
    flat = reads_flat(encoder) if flat is None else flat
    batches = (flat_batches if flat else token_batches)(windows.lengths, budget or budget_of(encoder))
    for rows in batches:
        ids, place = (_flat_ids if flat else _padded_ids)(encoder, windows, rows)
        with torch.inference_mode():
            hidden = embedded(encoder, ids, place)
            sums: dict[int, Tensor] = {}
            for level, hidden in enumerate(run_layers(encoder.layers[:depth], hidden, place), 1):  # noqa: B020
                if level in pooled:
                    sums[level] = token_sums(hidden, place)
        yield HiddenBatch(rows, hidden, place, sums)


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


def _padded_ids(encoder: Encoder, windows: Windows, rows: Rows) -> tuple[Tensor, Place]:
    places, mask_array = padded_rows(windows.starts, rows)
    mask = to_device(mask_array, encoder.device)
    ids = to_device(windows.ids[places].astype(np.int64), encoder.device)
    return ids.masked_fill(~mask, encoder.pad_id), mask


def _flat_ids(encoder: Encoder, windows: Windows, rows: Rows) -> tuple[Tensor, Place]:
    segments = segments_of(windows.lengths[rows], encoder.device)
    found = windows.ids[token_places(windows.starts, rows)].astype(np.int64)
    return to_device(found[None], encoder.device), segments
