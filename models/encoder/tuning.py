"""How the layers above the trunk are trained: LoRA, rank-stabilised LoRA, LoRA on a 4-bit base, all weights, or not at all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.encoder.load import Encoder
from models.encoder.lora import (
    ALPHA_PER_RANK,
    MERGED_PARAMETERS,
    added_layers,
    copy_layers,
    is_lora,
    lora_state,
    merged_layers,
    model_name,
    with_lora,
)
from models.families import FAMILIES, chosen_targets

Method = Literal["lora", "rslora", "qlora", "full", "probe"]
STABLE_ALPHA = 8.0
"""alpha of rsLoRA by default: constant, since its scaling alpha / √rank already falls with the rank; 2 at rank 16, as plain LoRA's."""
LORA_RATE = 3e-4
FULL_RATE = 5e-5
_ORIGINAL = (".parametrizations.", ".original")


@dataclass(frozen=True, slots=True)
class Tuning:
    """How members are trained above the trunk; the same for all of them."""

    method: Method = "lora"
    rank: int = 16
    alpha: float = 16.0 * ALPHA_PER_RANK
    targets: tuple[str, ...] = ()
    """Linears within a layer that get LoRA, as a request names them; empty for every linear."""

    @property
    def lora(self) -> bool:
        """Whether LoRA is what is trained."""
        return self.method in {"lora", "rslora", "qlora"}

    @property
    def scaling(self) -> float:
        """What B·A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.method == "rslora" else self.rank)

    @property
    def learning_rate(self) -> float:
        """The rate where none is asked for.

        Adam moves B by the rate, so a weight by rate · scaling: a scaling beyond plain LoRA's 2 takes the rate down with it.
        """
        return FULL_RATE if self.method == "full" else LORA_RATE * min(1.0, ALPHA_PER_RANK / self.scaling)


def tuning_for(
    method: Method, rank: int = 16, alpha: float | None = None, targets: tuple[str, ...] = ()
) -> Tuning:
    """Tuning with alpha's default: twice the rank, STABLE_ALPHA for rsLoRA."""
    usual = STABLE_ALPHA if method == "rslora" else float(rank * ALPHA_PER_RANK)
    return Tuning(method, rank, usual if alpha is None else alpha, targets)


class Cast(nn.Module):
    """A weight kept in fp32 and read in another dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, weight: Tensor) -> Tensor:
        """The weight in the dtype."""
        return weight.to(self.dtype)


def tuned_layers(encoder: Encoder, depth: int, tuning: Tuning) -> nn.ModuleList:
    """The layers above `depth`, ready to be trained: with LoRA beside shared frozen weights, or with weights of their own.

    Uses torch's RNG.

    Raises:
        UnknownTargetError: `tuning.targets` names what the family does not have.
    """
    layers = copy_layers(encoder, depth)
    if tuning.lora:
        targets = chosen_targets(FAMILIES[encoder.family], tuning.targets)
        with_lora(layers, tuning.rank, tuning.scaling, targets)
    elif tuning.method == "full":
        _own_weights(layers, encoder.dtype)
    return layers


def tuned_state(encoder: Encoder, layers: nn.ModuleList, depth: int) -> dict[str, Tensor]:
    """What was trained of layers from `tuned_layers`: copies, fp32 on the CPU.

    LoRA's weights under PEFT's names, or every weight of the layers under the model's.
    """
    state = lora_state(layers, encoder.layer_path, depth) or {
        model_name(_plain(name), encoder.layer_path, depth): value.detach().float().cpu().contiguous()
        for name, value in layers.named_parameters()
        if value.requires_grad
    }
    return {name: value.clone() for name, value in state.items()}


def ready_layers(
    encoder: Encoder, depth: int, state: dict[str, Tensor], scaling: float = float(ALPHA_PER_RANK)
) -> nn.ModuleList:
    """The upper layers as they predict, frozen.

    LoRA is merged into copies of the weights it changes; beside a base of more than MERGED_PARAMETERS, or in 4 bits, it is
    added on the fly, so that members share the base. Whole layers take the place of the base's.

    Args:
        encoder: the base model.
        depth: layers below.
        state: as `tuned_state` gives it; empty for the plain layers.
        scaling: `Tuning.scaling` of the training.

    Raises:
        KeyError: a weight that the model does not have above `depth`.
    """
    if state and not is_lora(state):
        return _replaced(encoder, depth, state)
    size = sum(value.numel() for value in encoder.model.parameters())
    shared = encoder.quantization is not None or size > MERGED_PARAMETERS
    return (added_layers if shared else merged_layers)(encoder, depth, state, scaling)


def own_bytes(encoder: Encoder, layers: nn.Module) -> int:
    """Bytes of the weights that a member does not share with the base model."""
    base = {id(value) for value in (*encoder.model.parameters(), *encoder.model.buffers())}
    return sum(value.nbytes for value in (*layers.parameters(), *layers.buffers()) if id(value) not in base)


def _own_weights(layers: nn.ModuleList, dtype: torch.dtype) -> None:
    """Give the layers fp32 weights of their own, read in `dtype`: updates this small would be lost in bf16.

    T5's relative position bias, in its lowest layer, belongs to all layers and stays frozen.
    """
    for module in [part for part in layers.modules() if not isinstance(part, nn.Embedding)]:
        for name, value in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(value.detach().float().clone()))
            if dtype != torch.float32:
                parametrize.register_parametrization(module, name, Cast(dtype), unsafe=True)


def _plain(name: str) -> str:
    """A parameter's name without what `Cast` adds to it."""
    return name.replace(_ORIGINAL[0], ".").removesuffix(_ORIGINAL[1])


def _replaced(encoder: Encoder, depth: int, state: dict[str, Tensor]) -> nn.ModuleList:
    layers = copy_layers(encoder, depth)
    known = {model_name(name, encoder.layer_path, depth): name for name, _ in layers.named_parameters()}
    for key, value in state.items():
        if key not in known:
            raise KeyError(f"{key} is not a weight above layer {depth} of {encoder.path.name}")
        owner, _, name = known[key].rpartition(".")
        weight = value.to(device=encoder.device, dtype=encoder.dtype)
        setattr(layers.get_submodule(owner), name, nn.Parameter(weight, requires_grad=False))
    return layers
