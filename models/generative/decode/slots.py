"""Keys and values of the sequences in a running batch: one row of preallocated memory each, filled from its left end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models.generative.blocks import Ids


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What a sequence's token takes in every layer."""

    layers: int
    heads: int
    """Of keys and values."""
    size: int
    dtype: torch.dtype
    device: torch.device

    @property
    def token_bytes(self) -> int:
        """Bytes of one token."""
        return 2 * self.layers * self.heads * self.size * self.dtype.itemsize


class SlotCache:
    """Per layer keys and values (slots, heads, capacity, size); grows when it is told to, and never shrinks."""

    def __init__(self, shape: CacheShape) -> None:
        self.shape = shape
        self.slots = self.capacity = 0
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self.slots * self.capacity * self.shape.token_bytes

    def reserve(self, slots: int, capacity: int) -> None:
        """Have at least so many slots of at least so many tokens; what is in them stays."""
        slots, capacity = max(slots, self.slots), max(capacity, self.capacity)
        if (slots, capacity) == (self.slots, self.capacity):
            return
        self.keys = [self._grown(self.keys, layer, slots, capacity) for layer in range(self.shape.layers)]
        self.values = [self._grown(self.values, layer, slots, capacity) for layer in range(self.shape.layers)]
        self.slots, self.capacity = slots, capacity

    def write_row(self, layer: int, slot: int, keys: Tensor, values: Tensor) -> None:
        """Fill a slot from its beginning: (tokens, heads, size) each."""
        tokens = len(keys)
        self.keys[layer][slot, :, :tokens] = keys.transpose(0, 1)
        self.values[layer][slot, :, :tokens] = values.transpose(0, 1)

    def write_step(self, layer: int, rows: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """One token for each of the first slots.

        Args:
            layer: which.
            rows: int64 (n,), 0 … n-1.
            positions: int64 (n,), where each slot's token goes.
            keys: (n, heads, size). `values` likewise.
        """
        self.keys[layer][rows, :, positions] = keys
        self.values[layer][rows, :, positions] = values

    def read(self, layer: int, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first slots' first tokens: (rows, heads, tokens, size) each."""
        return self.keys[layer][:rows, :, :tokens], self.values[layer][:rows, :, :tokens]

    def copy(self, sources: Sequence[int], targets: Sequence[int], tokens: int) -> None:
        """Copy the first tokens of slots into other slots, as if all were read before any is written."""
        read = torch.tensor(sources, device=self.shape.device)
        written = torch.tensor(targets, device=self.shape.device)
        for held in (*self.keys, *self.values):
            held[written, :, :tokens] = held[read, :, :tokens]

    def _grown(self, held: list[Tensor], layer: int, slots: int, capacity: int) -> Tensor:
        shape = self.shape
        # Zeros, not empty: what is masked is still multiplied, and a NaN times nothing is a NaN.
        found = torch.zeros(
            (slots, shape.heads, capacity, shape.size), dtype=shape.dtype, device=shape.device
        )
        if self.slots and self.capacity:
            found[: self.slots, :, : self.capacity] = held[layer]
            held[layer] = held[layer][:0]
        return found


class Slots(Protocol):
    """The cache of a model's running sequences (`CausalSlots`, `PairSlots`)."""

    @property
    def bytes(self) -> int:
        """Memory taken."""
        ...

    def bytes_with(self, slots: int, prompt: int, most: int) -> int:
        """Memory that would be taken."""
        ...

    def reserve(self, slots: int, prompt: int, most: int) -> None:
        """Have room."""
        ...

    def first(self, prompt: Ids) -> tuple[int, int]:
        """The first step's token and position."""
        ...

    def admit(self, prompts: list[tuple[int, Ids]]) -> None:
        """Read prompts into slots."""
        ...

    def step(self, ids: list[int], positions: list[int]) -> Tensor:
        """Logits of the next tokens."""
        ...

    def copy(self, sources: list[int], targets: list[int], tokens: int, prompt: int) -> None:
        """Copy slots."""
        ...
