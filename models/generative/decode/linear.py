"""Linears as decoding runs them: several of one input joined into one product, LoRA merged into the weight or kept beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import accumulate
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LowRank:
    """LoRA of one linear: scaling · up · down is what it adds to the weight."""

    down: Tensor
    """fp32 (rank, in)."""
    up: Tensor
    """fp32 (out, rank)."""
    scaling: float


@dataclass(frozen=True, slots=True)
class _Added:
    """LoRA beside a weight, in its dtype; `up` is scaled and belongs to the outputs from `first` on."""

    down: Tensor
    up: Tensor
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """One or several linears that read the same input, as one."""

    names: tuple[str, ...]
    """Of the modules joined, as transformers has them."""
    sizes: tuple[int, ...]
    """Outputs of each."""
    weight: Tensor
    """(out, in)."""
    bias: Tensor | None = None
    added: tuple[_Added, ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) -> (tokens, out)."""
        result = functional.linear(x, self.weight, self.bias)
        for part in self.added:
            result[:, part.first : part.first + len(part.up)].addmm_(x @ part.down.t(), part.up.t())
        return result

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each of the joined linears makes of (tokens, in)."""
        return torch.split(self(x), list(self.sizes), dim=-1)

    def adapted(self, lora: Mapping[str, LowRank], *, merge: bool) -> Linear:
        """The same linear with what `lora` has for its names: merged in fp32 and cast, or kept beside the shared weight."""
        firsts = (0, *accumulate(self.sizes))
        parts = [(lora[name], first) for name, first in zip(self.names, firsts, strict=False) if name in lora]
        if not parts:
            return self
        device, dtype = self.weight.device, self.weight.dtype
        if not merge:
            beside = tuple(
                _Added(found.down.to(device, dtype), (found.up * found.scaling).to(device, dtype), first)
                for found, first in parts
            )
            return replace(self, added=beside)
        weight = self.weight.float().clone()
        for found, first in parts:
            rows = weight[first : first + len(found.up)]
            rows.addmm_(found.up.to(device), found.down.to(device), alpha=found.scaling)
        return replace(self, weight=weight.to(dtype))


class Weights:
    """Tensors of a model by name, given away one after another so that joining them takes no second copy of all."""

    def __init__(self, state: dict[str, Tensor], dtype: torch.dtype) -> None:
        """state: emptied as weights are taken."""
        self._state = state
        self._dtype = dtype

    def take(self, name: str) -> Tensor:
        """A tensor in the model's dtype."""
        return self._state.pop(name).detach().to(self._dtype)

    def keep(self, name: str) -> Tensor:
        """A tensor that others will ask for, too: embeddings that are tied to the output layer."""
        return self._state[name].detach().to(self._dtype)

    def has(self, name: str) -> bool:
        """Whether there is such a tensor."""
        return name in self._state

    def linear(self, *names: str) -> Linear:
        """The linears of some modules joined; a bias of zeros where only others have one."""
        weights = [self.take(f"{name}.weight") for name in names]
        sizes = tuple(len(weight) for weight in weights)
        biases = [self.take(f"{name}.bias") if self.has(f"{name}.bias") else None for name in names]
        bias = None
        if any(found is not None for found in biases):
            filled = [
                weight.new_zeros(size) if found is None else found
                for weight, size, found in zip(weights, sizes, biases, strict=True)
            ]
            bias = torch.cat(filled)
        return Linear(names, sizes, torch.cat(weights) if len(weights) > 1 else weights[0], bias)


def with_lora(layers: Sequence[T], lora: Mapping[str, LowRank], *, merge: bool) -> tuple[T, ...]:
    """Layers (dataclasses with linears) with LoRA on every linear that `lora` names."""
    found = []
    for layer in layers:
        assert is_dataclass(layer)
        changes = {
            field.name: value.adapted(lora, merge=merge)
            for field in fields(layer)
            if isinstance(value := getattr(layer, field.name), Linear)
        }
        found.append(replace(layer, **changes))  # type: ignore[type-var]
    return tuple(found)


def tensors_of(layers: Sequence[object]) -> list[Tensor]:
    """Every tensor of some layers, LoRA included."""
    found: list[Tensor] = []
    for layer in layers:
        for field in fields(layer):  # type: ignore[arg-type]
            value = getattr(layer, field.name)
            if isinstance(value, Tensor):
                found.append(value)
            elif isinstance(value, Linear):
                found += [part for part in (value.weight, value.bias) if part is not None]
                found += [part for added in value.added for part in (added.down, added.up)]
    return found
