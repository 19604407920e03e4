"""A decoder (Llama, GPT-J) over slots: prompts read packed, then one token a step for every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.generative.blocks import Ids
from models.generative.decode.attention import attend_step, step_mask
from models.generative.decode.gptj import Gptj
from models.generative.decode.llama import Llama
from models.generative.decode.slots import CacheShape, SlotCache
from models.generative.packing import Packing, attend


@dataclass(frozen=True, slots=True, eq=False)
class CausalModel:
    """A decoder with its layers: a base model, or an adapter's."""

    body: Llama | Gptj
    layers: tuple[Any, ...]

    def begin(self) -> CausalSlots:
        """An empty cache for sequences of this model."""
        return CausalSlots(self)

    def cache_bytes(self, prompt: int, most: int) -> int:
        """What a sequence of so many tokens takes."""
        return (prompt + most) * self.shape.token_bytes

    @property
    def shape(self) -> CacheShape:
        """Of the cache."""
        held = self.body.embeddings
        return CacheShape(len(self.layers), self.body.shared_heads, self.body.size, held.dtype, held.device)

    @torch.inference_mode()
    def losses(self, ids: Ids) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Negative log-likelihood (nats) of every token after the first, given those before it: float64 (tokens - 1,)."""
        packing = Packing()
        device = self.body.embeddings.device
        packing.set([len(ids)], device)
        tokens = torch.from_numpy(ids.astype(np.int64)).to(device)

        def piece(_: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return _packed(packing, query, key, value, self.body.scale)

        states = self.body.states(self.layers, tokens, torch.arange(len(ids), device=device), piece)
        found = [
            functional.cross_entropy(self.body.logits(part), targets, reduction="none")
            for part, targets in zip(
                torch.split(states[:-1], _ROWS), torch.split(tokens[1:], _ROWS), strict=True
            )
        ]
        return torch.cat(found).double().cpu().numpy()


_ROWS = 256
"""States whose logits are held at once."""


class CausalSlots:
    """The running sequences of one decoder."""

    def __init__(self, model: CausalModel) -> None:
        self._model = model
        self._cache = SlotCache(model.shape)
        self._device = model.shape.device

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self._cache.bytes

    def bytes_with(self, slots: int, prompt: int, most: int) -> int:
        """Memory that would be taken by so many slots of which one holds so many tokens."""
        capacity = max(self._cache.capacity, prompt + most)
        return max(self._cache.slots, slots) * capacity * self._cache.shape.token_bytes

    def reserve(self, slots: int, prompt: int, most: int) -> None:
        """Have room for so many slots, one of them with so many tokens."""
        self._cache.reserve(slots, prompt + most)

    def first(self, prompt: Ids) -> tuple[int, int]:
        """The token that the first step of a sequence reads, and its position."""
        return int(prompt[-1]), len(prompt) - 1

    def admit(self, prompts: Sequence[tuple[int, Ids]]) -> None:
        """Read prompts (slot, int32 ids) but for their last token, which the first step reads."""
        pieces = [(slot, prompt[:-1]) for slot, prompt in prompts if len(prompt) > 1]
        if not pieces:
            return
        packing, lengths = Packing(), [len(piece) for _, piece in pieces]
        packing.set(lengths, self._device)
        ids = torch.from_numpy(np.concatenate([piece for _, piece in pieces]).astype(np.int64))
        positions = torch.from_numpy(np.concatenate([np.arange(length) for length in lengths]))

        def written(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            parts = zip(pieces, torch.split(key, lengths), torch.split(value, lengths), strict=True)
            for (slot, _), keys, values in parts:
                self._cache.write_row(layer, slot, keys, values)
            return _packed(packing, query, key, value, self._model.body.scale)

        self._model.body.states(self._model.layers, ids.to(self._device), positions.to(self._device), written)

    def step(self, ids: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Logits after one more token in each of the first slots: fp32 (rows, vocabulary)."""
        rows, longest = len(ids), max(positions) + 1
        tokens, places = torch.tensor([list(ids), list(positions)], device=self._device)
        order = torch.arange(rows, device=self._device)
        mask = step_mask(places, longest, self._cache.shape.dtype)
        cache, scale = self._cache, self._model.body.scale

        def over_slots(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            cache.write_step(layer, order, places, key, value)
            keys, values = cache.read(layer, rows, longest)
            return attend_step(query, keys, values, mask, scale)

        states = self._model.body.states(self._model.layers, tokens, places, over_slots)
        return self._model.body.logits(states)

    def copy(self, sources: Sequence[int], targets: Sequence[int], tokens: int, prompt: int) -> None:  # noqa: ARG002  # as pairs need it
        """Copy what slots hold, `tokens` at most, into other slots."""
        self._cache.copy(sources, targets, tokens)


def _packed(packing: Packing, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    q, k, v = (part.transpose(0, 1).unsqueeze(0) for part in (query, key, value))
    return attend(packing, q, k, v, scale)[0].flatten(1)
