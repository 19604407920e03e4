"""LoRA on linears of the upper layers, trained in place and saved under PEFT's names.

Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models". The scaling is alpha / rank, or alpha / √rank as in
Kalajdzievski (2023), "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA".
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.load import Encoder
from models.encoder.lora_product import AddedProduct

ALPHA_PER_RANK = 2
"""alpha is by default twice the rank, so that plain LoRA's scaling is 2 at every rank."""
MERGED_PARAMETERS = 500_000_000
"""Largest base model that members get merged copies of; above it they add LoRA to the one shared base as they read."""
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


class LoraLinear(nn.Module):
    """A frozen linear plus scaling · B·A, with A and B kept in fp32 and cast to the activations' dtype on use."""

    def __init__(self, base: nn.Linear, rank: int, scaling: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.base = base
        self.scaling = scaling
        self.dropout = dropout
        device = base.weight.device
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """The frozen weight; T5 asks its linears for their dtype by it."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out) in the dtype of `x`."""
        dropping = self.training and self.dropout > 0
        if x.device.type == "cpu" and not dropping and self.base.weight.dtype == x.dtype:
            parts = (self.base.weight, self.base.bias, self.lora_A, self.lora_B)
            (added,) = AddedProduct.apply(x, self.scaling, *parts)  # type: ignore[no-untyped-call]
            return added  # type: ignore[no-any-return]
        kept = functional.dropout(x, self.dropout, self.training)
        low = functional.linear(kept, self.lora_A.to(x.dtype))
        return self.base(x) + functional.linear(low, (self.lora_B * self.scaling).to(x.dtype))  # type: ignore[no-any-return]


def copy_layers(encoder: Encoder, depth: int) -> nn.ModuleList:
    """The layers above `depth` as modules of their own on the same weights, frozen, in evaluation mode (no dropout).

    However many members a job has, the base model lies in memory once: to change a weight of a copy, put another in its
    place.
    """
    layers = encoder.layers[depth:]
    shared: list[object] = [*layers.parameters(), *layers.buffers()]
    # bitsandbytes keeps the scales of 4-bit weights beside them.
    shared += [
        state for part in layers.modules() if (state := getattr(part, "quant_state", None)) is not None
    ]
    return copy.deepcopy(layers, {id(part): part for part in shared}).eval().requires_grad_(False)


def with_lora(
    layers: nn.ModuleList, rank: int, scaling: float = float(ALPHA_PER_RANK), targets: Sequence[str] | None = None
) -> nn.ModuleList:  # fmt: skip
    """Put LoRA on linears of the layers, in place; B starts at zero, so nothing changes yet. Uses torch's RNG.

    Args:
        layers: from `copy_layers`.
        rank: columns of A.
        scaling: of B·A.
        targets: names of linears within a layer (`models.families`); None for every linear.
    """
    for name, module in list(linears(layers)):
        if targets is None or name.partition(".")[2] in targets:
            parent = layers.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], LoraLinear(module, rank, scaling))
    return layers


def linears(layers: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    """Name and module of every linear, in definition order."""
    for name, module in layers.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module


def lora_state(layers: nn.ModuleList, layer_path: str, depth: int) -> dict[str, Tensor]:
    """The LoRA weights under PEFT's names: fp32 on the CPU, contiguous.

    Args:
        layers: with LoRA, the first of them layer `depth` of the model.
        layer_path: `Encoder.layer_path`.
        depth: layers below.
    """
    state: dict[str, Tensor] = {}
    for name, module in layers.named_modules():
        if isinstance(module, LoraLinear):
            prefix = peft_name(name, layer_path, depth)
            state[prefix + _DOWN] = module.lora_A.detach().cpu().contiguous()
            state[prefix + _UP] = module.lora_B.detach().cpu().contiguous()
    return state


def model_name(name: str, layer_path: str, depth: int) -> str:
    """A linear's name in the whole model, from its name in the upper layers: `0.output.dense` -> `encoder.layer.5.output.dense`."""
    index, _, rest = name.partition(".")
    return f"{layer_path}.{int(index) + depth}.{rest}"


def peft_name(name: str, layer_path: str, depth: int) -> str:
    """As `model_name`, with what PEFT puts before it."""
    return f"base_model.model.{model_name(name, layer_path, depth)}"


def is_lora(state: dict[str, Tensor]) -> bool:
    """Whether weights are LoRA's, and not whole layers'."""
    return any(key.endswith(_DOWN) for key in state)


def merged_layers(
    encoder: Encoder, depth: int, state: dict[str, Tensor], scaling: float = float(ALPHA_PER_RANK)
) -> nn.ModuleList:
    """The upper layers with LoRA weights added in: fp32 sum, then the encoder's dtype. Untouched weights stay shared.

    Args:
        encoder: the base model.
        depth: layers below.
        state: as `lora_state` gives it; empty for the plain layers.
        scaling: of B·A, as in training.

    Raises:
        KeyError: a weight names a linear that the model does not have above `depth`.
    """
    layers = copy_layers(encoder, depth)
    for module, down, up in _matched(encoder, depth, layers, state):
        old = module.weight
        delta = (up.to(old.device) @ down.to(old.device)) * scaling
        module.weight = nn.Parameter((old.data.float() + delta).to(old.dtype), requires_grad=False)
    return layers


def added_layers(
    encoder: Encoder, depth: int, state: dict[str, Tensor], scaling: float = float(ALPHA_PER_RANK)
) -> nn.ModuleList:
    """The upper layers with LoRA beside the base's weights, which stay shared: for bases too large to copy, or in 4 bits.

    Arguments and errors as of `merged_layers`.
    """
    layers = copy_layers(encoder, depth)
    for module, down, up in _matched(encoder, depth, layers, state):
        name = next(name for name, found in layers.named_modules() if found is module)
        added = LoraLinear(module, len(down), scaling)
        with torch.no_grad():
            added.lora_A.copy_(down)
            added.lora_B.copy_(up)
        setattr(layers.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], added)
    return layers.eval().requires_grad_(False)


def _matched(
    encoder: Encoder, depth: int, layers: nn.ModuleList, state: dict[str, Tensor]
) -> list[tuple[nn.Linear, Tensor, Tensor]]:
    """Each linear that the state has weights for, with its A and B."""
    known = {peft_name(name, encoder.layer_path, depth): module for name, module in linears(layers)}
    found = []
    for key, down in state.items():
        if key.endswith(_DOWN):
            prefix = key.removesuffix(_DOWN)
            if prefix not in known:
                raise KeyError(f"{prefix} is not a linear above layer {depth} of {encoder.path.name}")
            found.append((known[prefix], down, state[prefix + _UP]))
    return found
