"""An encoder-decoder (T5) over slots: inputs read once, their keys and values kept, then one token a step for every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.generative.blocks import Ids
from models.generative.decode.attention import attend_step, step_mask
from models.generative.decode.slots import CacheShape, SlotCache
from models.generative.decode.t5 import T5, T5DecoderLayer, T5EncoderLayer


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """An encoder-decoder with its layers: a base model, or an adapter's."""

    body: T5
    encoder: tuple[T5EncoderLayer, ...]
    decoder: tuple[T5DecoderLayer, ...]

    def begin(self) -> PairSlots:
        """An empty cache for sequences of this model."""
        return PairSlots(self)

    def cache_bytes(self, prompt: int, most: int) -> int:
        """What a sequence with such an input and output takes."""
        return (prompt + most + 1) * self.shape.token_bytes

    @property
    def shape(self) -> CacheShape:
        """Of either cache."""
        held = self.body.embeddings
        return CacheShape(len(self.decoder), self.body.heads, self.body.size, held.dtype, held.device)


class PairSlots:
    """The running sequences of one encoder-decoder."""

    def __init__(self, model: PairModel) -> None:
        self._model = model
        self._written = SlotCache(model.shape)
        self._read = SlotCache(model.shape)
        self._sources: list[int] = []
        """Tokens of each slot's input."""
        self._device = model.shape.device

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self._written.bytes + self._read.bytes

    def bytes_with(self, slots: int, prompt: int, most: int) -> int:
        """Memory that would be taken by so many slots of which one has such an input and output."""
        rows = max(self._written.slots, slots)
        tokens = max(self._written.capacity, most + 1) + max(self._read.capacity, prompt)
        return rows * tokens * self._read.shape.token_bytes

    def reserve(self, slots: int, prompt: int, most: int) -> None:
        """Have room for so many slots, one of them with such an input and output."""
        self._written.reserve(slots, most + 1)
        self._read.reserve(slots, prompt)
        self._sources += [0] * (slots - len(self._sources))

    def first(self, prompt: Ids) -> tuple[int, int]:  # noqa: ARG002  # as decoders need it
        """The token that the first step of a sequence reads, and its position."""
        return self._model.body.start, 0

    def admit(self, prompts: Sequence[tuple[int, Ids]]) -> None:
        """Read inputs (slot, int32 ids) and keep each decoder layer's keys and values of them."""
        body, lengths = self._model.body, [len(prompt) for _, prompt in prompts]
        ids = torch.from_numpy(np.concatenate([prompt for _, prompt in prompts]).astype(np.int64))
        states = body.encode(self._model.encoder, ids.to(self._device), lengths)
        shape = (-1, body.heads, body.size)
        for number, layer in enumerate(self._model.decoder):
            keys, values = (part.view(shape) for part in layer.read_across.split(states))
            parts = zip(prompts, torch.split(keys, lengths), torch.split(values, lengths), strict=True)
            for (slot, _), key, value in parts:
                self._read.write_row(number, slot, key, value)
        for (slot, _), length in zip(prompts, lengths, strict=True):
            self._sources[slot] = length

    def step(self, ids: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Logits after one more token in each of the first slots: fp32 (rows, vocabulary)."""
        body, rows = self._model.body, len(ids)
        longest, furthest = max(positions) + 1, max(self._sources[:rows])
        tokens, places = torch.tensor([list(ids), list(positions)], device=self._device)
        order = torch.arange(rows, device=self._device)
        x = functional.embedding(tokens, body.embeddings)
        mask = body.decoder_mask(places, longest, x.dtype)
        ends = torch.tensor(self._sources[:rows], device=self._device) - 1
        across = step_mask(ends, furthest, x.dtype)
        shape = (-1, body.heads, body.size)
        for number, layer in enumerate(self._model.decoder):
            parts = layer.attention_in.split(body.normed(x, layer.norm))
            query, key, value = (part.view(shape) for part in parts)
            self._written.write_step(number, order, places, key, value)
            keys, values = self._written.read(number, rows, longest)
            x = x + layer.attention_out(attend_step(query, keys, values, mask, 1.0))
            keys, values = self._read.read(number, rows, furthest)
            x = x + body.across(layer, x, keys, values, across)
            x = x + body.widened(layer, body.normed(x, layer.norm_after))
        return body.logits(body.normed(x, body.decoder_norm))

    def copy(self, sources: Sequence[int], targets: Sequence[int], tokens: int, prompt: int) -> None:
        """Copy what slots hold, `tokens` written and `prompt` read at most, into other slots."""
        self._written.copy(sources, targets, tokens)
        if prompt:
            self._read.copy(sources, targets, prompt)
            held = [self._sources[slot] for slot in sources]
            for slot, length in zip(targets, held, strict=True):
                self._sources[slot] = length
