"""One member of an adapter (the final fit or a fold's model): its weights as values, on disk and ready to predict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import numpy as numpy_tensors
from safetensors import torch as torch_tensors
from torch import Tensor, nn

from models.adapters.head import Head, head_from_state
from models.adapters.wide import Wide
from models.encoder.load import Encoder
from models.encoder.lora import is_lora, linears, model_name
from models.encoder.tuning import Tuning, ready_layers
from models.families import FAMILIES, chosen_targets
from models.training.calibration import Calibration

LORA_FILE = "adapter_model.safetensors"
"""LoRA's weights, named as PEFT names them."""
LAYERS_FILE = "layers.safetensors"
"""Every weight of fully trained layers."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What training leaves behind of one member."""

    upper: dict[str, Tensor]
    """What was trained above the trunk, as `models.encoder.tuning.tuned_state` gives it; empty for a probe."""
    head: dict[str, Tensor]
    """`Head.state_dict`, fp32 on the CPU."""
    wide: Wide | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member ready to predict: upper layers with LoRA merged in, head, wide branch, calibration."""

    name: str
    upper: nn.ModuleList
    head: Head
    wide: Wide | None
    calibration: Calibration


def member_folder(root: Path, name: str) -> Path:
    """Where a member's files lie: `final` at the root, `foldK` under folds/K."""
    return root if name == "final" else root / "folds" / name.removeprefix("fold")


def write_weights(folder: Path, weights: Weights, lora_config: dict[str, Any] | None) -> None:
    """Write head.safetensors, wide.safetensors and either PEFT's adapter_config.json and adapter_model.safetensors or layers.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    if lora_config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(lora_config, indent=1))
    if weights.upper:
        name = LORA_FILE if is_lora(weights.upper) else LAYERS_FILE
        torch_tensors.save_file(weights.upper, folder / name, metadata={"format": "pt"})
    torch_tensors.save_file(weights.head, folder / "head.safetensors")
    if weights.wide is not None:
        arrays = {key: np.ascontiguousarray(value) for key, value in weights.wide.to_tensors().items()}
        numpy_tensors.save_file(arrays, folder / "wide.safetensors")


def read_weights(folder: Path) -> Weights:
    """Inverse of `write_weights`."""
    upper_file = next((file for name in (LORA_FILE, LAYERS_FILE) if (file := folder / name).exists()), None)
    wide_file = folder / "wide.safetensors"
    arrays: dict[str, NDArray[np.generic]] = numpy_tensors.load_file(wide_file) if wide_file.exists() else {}
    return Weights(
        torch_tensors.load_file(upper_file) if upper_file is not None else {},
        torch_tensors.load_file(folder / "head.safetensors"),
        Wide.from_tensors(arrays) if arrays else None,
    )


def ready_member(
    name: str, weights: Weights, calibration: Calibration, encoder: Encoder, depth: int, scaling: float
) -> Member:
    """A member on an encoder, its layers as `models.encoder.tuning.ready_layers` makes them."""
    head = head_from_state(weights.head).to(encoder.device)
    upper = ready_layers(encoder, depth, weights.upper, scaling)
    return Member(name, upper, head, weights.wide, calibration)


def write_calibration(folder: Path, calibration: Calibration, option_keys: tuple[str, ...]) -> None:
    """Write calibration.json."""
    (folder / "calibration.json").write_text(json.dumps(calibration.to_document(option_keys), indent=1))


def read_calibration(folder: Path) -> Calibration:
    """Inverse of `write_calibration`."""
    return Calibration.from_document(json.loads((folder / "calibration.json").read_text()))


def lora_config(encoder: Encoder, base_name: str, depth: int, tuning: Tuning) -> dict[str, Any]:
    """adapter_config.json as PEFT reads it; it names each linear with LoRA by its name in the whole model.

    Args:
        encoder: the base model.
        base_name: its catalog name or hub id; a path of this machine would mean nothing elsewhere.
        depth: layers below those with LoRA.
        tuning: rank, alpha and targets.
    """
    from peft import LoraConfig

    targets = chosen_targets(FAMILIES[encoder.family], tuning.targets)
    names = [
        model_name(name, encoder.layer_path, depth)
        for name, _ in linears(encoder.layers[depth:])
        if name.partition(".")[2] in targets
    ]
    alpha: Any = tuning.alpha  # PEFT says int and divides it
    config = LoraConfig(
        r=tuning.rank, lora_alpha=alpha, use_rslora=tuning.method == "rslora",
        target_modules=sorted(names), lora_dropout=0.0, bias="none",
        task_type="FEATURE_EXTRACTION", base_model_name_or_path=base_name, inference_mode=True,
    ).to_dict()  # type: ignore[no-untyped-call]  # fmt: skip
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    plain["task_type"], plain["peft_type"] = "FEATURE_EXTRACTION", "LORA"
    plain["auto_mapping"] = {
        "base_model_class": type(encoder.model).__name__,
        "parent_library": "transformers",
    }
    document: dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return document


def cpu_state(head: Head) -> dict[str, Tensor]:
    """A head's tensors for saving: detached copies on the CPU."""
    return {key: value.detach().to("cpu", torch.float32).clone() for key, value in head.state_dict().items()}
