"""LoRA on every linear of the upper layers, trained in place and saved under PEFT's names.

Hu et al. (2022), "LoRA: Low-Rank Adaptation of Large Language Models". The scaling is plain, alpha / rank.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.load import Encoder

ALPHA_PER_RANK = 2
"""alpha is twice the rank, so the scaling is 2 at every rank."""


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

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out) in the dtype of `x`."""
        kept = functional.dropout(x, self.dropout, self.training)
        low = functional.linear(kept, self.lora_A.to(x.dtype))
        return self.base(x) + functional.linear(low, (self.lora_B * self.scaling).to(x.dtype))  # type: ignore[no-any-return]


def copy_layers(encoder: Encoder, depth: int) -> nn.ModuleList:
    """A copy of the layers above `depth`, frozen, in evaluation mode (no dropout)."""
    return copy.deepcopy(encoder.layers[depth:]).eval().requires_grad_(False)


def with_lora(layers: nn.ModuleList, rank: int) -> nn.ModuleList:
    """Put LoRA on every linear of the layers, in place; B starts at zero, so nothing changes yet. Uses torch's RNG."""
    for name, module in list(linears(layers)):
        parent = layers.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], LoraLinear(module, rank, float(ALPHA_PER_RANK)))
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
            prefix = f"base_model.model.{model_name(name, layer_path, depth)}"
            state[f"{prefix}.lora_A.weight"] = module.lora_A.detach().cpu().contiguous()
            state[f"{prefix}.lora_B.weight"] = module.lora_B.detach().cpu().contiguous()
    return state


def model_name(name: str, layer_path: str, depth: int) -> str:
    """A linear's name in the whole model, from its name in the upper layers: `0.output.dense` -> `encoder.layer.5.output.dense`."""
    index, _, rest = name.partition(".")
    return f"{layer_path}.{int(index) + depth}.{rest}"


def merged_layers(encoder: Encoder, depth: int, state: dict[str, Tensor]) -> nn.ModuleList:
    """A copy of the upper layers with LoRA weights added in: fp32 sum, then the encoder's dtype.

    Args:
        encoder: the base model.
        depth: layers below.
        state: as `lora_state` gives it; empty for the plain layers.

    Raises:
        KeyError: a weight names a linear that the model does not have above `depth`.
    """
    layers = copy_layers(encoder, depth)
    known = {
        f"base_model.model.{model_name(name, encoder.layer_path, depth)}": module
        for name, module in linears(layers)
    }
    suffix = ".lora_A.weight"
    for key, down in state.items():
        if not key.endswith(suffix):
            continue
        prefix = key.removesuffix(suffix)
        if prefix not in known:
            raise KeyError(f"{prefix} is not a linear above layer {depth} of {encoder.path.name}")
        weight = known[prefix].weight
        up = state[f"{prefix}.lora_B.weight"]
        delta = (up.to(weight.device) @ down.to(weight.device)) * ALPHA_PER_RANK
        weight.data = (weight.data.float() + delta).to(weight.dtype)
    return layers
