"""LoRA on every linear of the blocks of a generative model, kept in fp32 and saved under PEFT's names.

Hu et al. (2022), "LoRA"; rank-stabilised scaling: Kalajdzievski (2023), "A Rank Stabilization Scaling Factor".
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from models.encoder.lora_product import AddedProduct

ALPHA_PER_RANK = 2
"""Plain LoRA: alpha is twice the rank, so the scaling is 2 at every rank."""
RSLORA_ALPHA = 8
"""rsLoRA: scaling 8 / √rank, which is 2 at rank 16 and falls slowly as ranks grow."""
OUTSIDE = ("lm_head",)
"""Linears that stay as they are."""
_PREFIX = "base_model.model."


class LoraLinear(nn.Module):
    """A frozen linear plus scaling · B·A; A and B are fp32 and cast to the activations' dtype on use."""

    def __init__(self, base: nn.Module, inside: int, outside: int, rank: int, scaling: float) -> None:
        super().__init__()
        self.base = base
        self.scaling = scaling
        device = next(base.parameters()).device
        self.lora_A = nn.Parameter(torch.empty(rank, inside, device=device))
        self.lora_B = nn.Parameter(torch.zeros(outside, rank, device=device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """The frozen weight: T5 asks a linear for its dtype before it calls it."""
        return self.base.weight  # type: ignore[return-value]

    @property
    def bias(self) -> Tensor | None:
        """The frozen bias."""
        return self.base.bias  # type: ignore[return-value]

    def adds_to_weight(self, x: Tensor) -> bool:
        """Whether LoRA is added to the weight: on a CPU, unless it is held in another dtype than it is used in."""
        plain = x.device.type == "cpu" and isinstance(self.base, nn.Linear)
        return plain and self.weight.dtype == x.dtype

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out) in the dtype of `x`; on a CPU LoRA is added to the weight, else to the product."""
        if self.adds_to_weight(x):
            return read_together(x, (self,))[0]
        plain = self.base(x)
        low = functional.linear(x, self.lora_A.to(x.dtype))
        added = torch.addmm(
            plain.reshape(-1, plain.shape[-1]), low.reshape(-1, low.shape[-1]),
            self.lora_B.to(x.dtype).t(), alpha=self.scaling,
        )  # fmt: skip
        return added.view(plain.shape)


def read_together(x: Tensor, linears: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """What several linears of one scaling make of the same `x`: (…, in) -> (…, out) each."""
    added = [linear for linear in linears if isinstance(linear, LoraLinear) and linear.adds_to_weight(x)]
    if len(added) < len(linears):
        return tuple(linear(x) for linear in linears)
    parts = [
        value for linear in added for value in (linear.weight, linear.bias, linear.lora_A, linear.lora_B)
    ]
    found: tuple[Tensor, ...] = AddedProduct.apply(x, added[0].scaling, *parts)  # type: ignore[no-untyped-call]
    return found


def scaling_of(method: str, rank: int) -> float:
    """What B·A is multiplied with."""
    return RSLORA_ALPHA / math.sqrt(rank) if method == "rslora" else float(ALPHA_PER_RANK)


def with_lora(model: nn.Module, rank: int, scaling: float, seed: int) -> dict[str, nn.Parameter]:
    """Put LoRA on every linear but the output layer, in place, and freeze the rest; B starts at zero, so nothing changes yet.

    Returns:
        The trained parameters under PEFT's names.
    """
    model.requires_grad_(False)
    targets = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] not in OUTSIDE
    ]
    trained: dict[str, nn.Parameter] = {}
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    for name, module in targets:
        made = LoraLinear(module, module.in_features, module.out_features, rank, scaling)
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, made)
        trained[f"{_PREFIX}{name}.lora_A.weight"] = made.lora_A
        trained[f"{_PREFIX}{name}.lora_B.weight"] = made.lora_B
    torch.set_rng_state(state)
    return trained


def target_names(trained: dict[str, nn.Parameter]) -> list[str]:
    """The last parts of the adapted linears' names, as PEFT's `target_modules` takes them."""
    return sorted({name.split(".")[-3] for name in trained})


def write_lora(folder: Path, state: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write adapter_config.json and adapter_model.safetensors (fp32) in PEFT's layout.

    Args:
        state: tensors under PEFT's names.
        config: base_model_name_or_path, task_type, r, method, target_modules.
    """
    from peft import LoraConfig

    stabilised = config["method"] == "rslora"
    made = LoraConfig(
        task_type=config["task_type"],
        r=config["r"],
        lora_alpha=RSLORA_ALPHA if stabilised else ALPHA_PER_RANK * config["r"],
        use_rslora=stabilised,
        lora_dropout=0.0,
        target_modules=config["target_modules"],
        base_model_name_or_path=config["base_model_name_or_path"],
        inference_mode=True,
    )
    made.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    # target_modules is a set in PEFT, whose order differs from process to process
    document = json.loads(path.read_text(encoding="utf-8"))
    document["target_modules"] = sorted(document["target_modules"])
    path.write_text(json.dumps(document, indent=2, sort_keys=True), encoding="utf-8")
    save_file(
        {name: value.contiguous() for name, value in state.items()}, folder / "adapter_model.safetensors"
    )
