"""LoRA as an adapter folder holds it, in PEFT's layout."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from models.adapters.folder import AdapterInvalidError
from models.generative.decode.linear import LowRank

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_UNUSED: Mapping[str, tuple[Any, ...]] = {
    "use_dora": (None, False),
    "bias": (None, "none"),
    "modules_to_save": (None, [], ()),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "fan_in_fan_out": (None, False),
}
"""What of PEFT's configuration must be off: Remand's own adapters never use it."""


def read_low_rank(folder: Path) -> dict[str, LowRank]:
    """LoRA by the name of the linear in the base model.

    Raises:
        AdapterInvalidError: it is not plain LoRA, or half of a pair is missing.
    """
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    for name, allowed in _UNUSED.items():
        if config.get(name) not in allowed:
            raise AdapterInvalidError(f"adapter_config.json asks for {name}; only plain LoRA can be served")
    state = load_file(folder / "adapter_model.safetensors")
    rank = int(config["r"])
    alpha = float(config["lora_alpha"])
    scaling = alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
    names = {key.removeprefix(_PREFIX).removesuffix(_DOWN) for key in state if key.endswith(_DOWN)}
    if len(state) != 2 * len(names) or not all(f"{_PREFIX}{name}{_UP}" in state for name in names):
        raise AdapterInvalidError("adapter_model.safetensors holds other weights than pairs of LoRA")
    return {
        name: LowRank(
            state[f"{_PREFIX}{name}{_DOWN}"].float(), state[f"{_PREFIX}{name}{_UP}"].float(), scaling
        )
        for name in names
    }
