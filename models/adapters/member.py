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
from models.encoder.lora import ALPHA_PER_RANK, merged_layers
from models.training.calibration import Calibration


@dataclass(frozen=True, slots=True)
class Weights:
    """What training leaves behind of one member."""

    lora: dict[str, Tensor]
    """LoRA weights under PEFT's names; empty for a probe."""
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
    """Write adapter_config.json and adapter_model.safetensors (PEFT), head.safetensors and wide.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    if lora_config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(lora_config, indent=1))
    if weights.lora:
        torch_tensors.save_file(weights.lora, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    torch_tensors.save_file(weights.head, folder / "head.safetensors")
    if weights.wide is not None:
        arrays = {key: np.ascontiguousarray(value) for key, value in weights.wide.to_tensors().items()}
        numpy_tensors.save_file(arrays, folder / "wide.safetensors")


def read_weights(folder: Path) -> Weights:
    """Inverse of `write_weights`."""
    lora_file, wide_file = folder / "adapter_model.safetensors", folder / "wide.safetensors"
    arrays: dict[str, NDArray[np.generic]] = numpy_tensors.load_file(wide_file) if wide_file.exists() else {}
    return Weights(
        torch_tensors.load_file(lora_file) if lora_file.exists() else {},
        torch_tensors.load_file(folder / "head.safetensors"),
        Wide.from_tensors(arrays) if arrays else None,
    )


def ready_member(
    name: str, weights: Weights, calibration: Calibration, encoder: Encoder, depth: int
) -> Member:
    """A member on an encoder: LoRA merged in fp32 into a copy of the layers above `depth`, then cast."""
    head = head_from_state(weights.head).to(encoder.device)
    return Member(name, merged_layers(encoder, depth, weights.lora), head, weights.wide, calibration)


def write_calibration(folder: Path, calibration: Calibration, option_keys: tuple[str, ...]) -> None:
    """Write calibration.json."""
    (folder / "calibration.json").write_text(json.dumps(calibration.to_document(option_keys), indent=1))


def read_calibration(folder: Path) -> Calibration:
    """Inverse of `write_calibration`."""
    return Calibration.from_document(json.loads((folder / "calibration.json").read_text()))


def lora_config(encoder: Encoder, base_name: str, names: list[str], rank: int) -> dict[str, Any]:
    """adapter_config.json as PEFT reads it.

    Args:
        encoder: the base model.
        base_name: its catalog name or hub id; a path of this machine would mean nothing elsewhere.
        names: linears with LoRA, by their names in the whole model.
        rank: of the LoRA.
    """
    from peft import LoraConfig

    config = LoraConfig(
        r=rank, lora_alpha=rank * ALPHA_PER_RANK, target_modules=sorted(names), lora_dropout=0.0, bias="none",
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
