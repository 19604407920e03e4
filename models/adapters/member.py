"""One member of an adapter (the final fit or a fold's model): its weights as values, on disk and ready to predict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import numpy as numpy_tensors
from safetensors import torch as torch_tensors
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from models.adapters.folder import ALONE, CALIBRATION
from models.adapters.head import Head, head_from_state
from models.adapters.wide import Wide, wide_logits
from models.data.context import Context, Contexts, has_context
from models.encoder.load import Encoder
from models.encoder.lora import is_lora, linears, model_name
from models.encoder.tuning import Tuning, ready_layers
from models.families import FAMILIES, chosen_targets
from models.training.calibration import Calibration

Matrix = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)

LORA_FILE = "adapter_model.safetensors"
"""LoRA's weights, named as PEFT names them."""
LAYERS_FILE = "layers.safetensors"
"""Every weight of fully trained layers."""


@dataclass(frozen=True, slots=True)
class LoneWeights:
    """What a member that reads contexts answers by where it is given none; its layers are the member's own."""

    head: dict[str, Tensor]
    """`Head.state_dict`, fp32 on the CPU."""
    wide: Wide
    """Fitted on texts without their contexts."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What training leaves behind of one member."""

    upper: dict[str, Tensor]
    """What was trained above the trunk, as `models.encoder.tuning.tuned_state` gives it; empty for a probe."""
    head: dict[str, Tensor]
    """`Head.state_dict`, fp32 on the CPU."""
    wide: Wide | None
    alone: LoneWeights | None = None
    """None where the wide branch reads no context, and in adapters made before there was a second reading."""

    def read_alone(self) -> Weights:
        """The weights by which a text without context is read."""
        if self.alone is None:
            return self
        return Weights(self.upper, self.alone.head, self.alone.wide)

    @property
    def wides(self) -> tuple[Wide, ...]:
        """The wide branches of both readings, so far as there are any."""
        both = (self.wide, None if self.alone is None else self.alone.wide)
        return tuple(wide for wide in both if wide is not None)

    def with_wides(self, wides: Iterator[Wide]) -> Weights:
        """The same with other wide branches, taken in the order of `wides`."""
        wide = None if self.wide is None else next(wides)
        alone = None if self.alone is None else replace(self.alone, wide=next(wides))
        return replace(self, wide=wide, alone=alone)


@dataclass(frozen=True, slots=True)
class Member:
    """A member ready to predict: upper layers with LoRA merged in, head, wide branch, calibration."""

    name: str
    upper: nn.ModuleList
    head: Head
    wide: Wide | None
    calibration: Calibration
    alone: Member | None = None
    """The reading of texts without context: the same layers with a head, a wide branch and a calibration of its own."""

    def reading(self, context: Context | None) -> Member:
        """By which of its readings the member answers for a text in this context."""
        return self if self.alone is None or has_context(context) else self.alone

    def each(self, beside: NDArray[np.bool_], read: Callable[[Member], NDArray[Number]]) -> NDArray[Number]:
        """What `read` says of texts, (texts, …), each by the reading that answers for it.

        Args:
            beside: bool (texts), from `given_contexts`.
            read: a reading's numbers of all these texts; not asked of one that answers for none.
        """
        if self.alone is None or beside.all():
            return read(self)
        if not beside.any():
            return read(self.alone)
        return np.where(beside[:, None], read(self), read(self.alone))


def given_contexts(contexts: Contexts, texts: int) -> NDArray[np.bool_]:
    """Of which texts it is known what stands around them: bool (texts)."""
    if contexts is None:
        return np.zeros(texts, dtype=np.bool_)
    return np.fromiter(map(has_context, contexts), dtype=np.bool_, count=texts)


def wide_part(member: Member, counts: csr_matrix | None) -> Matrix | None:
    """A reading's wide logits, float32 (texts, options); None where it has no wide branch."""
    if member.wide is None or counts is None:
        return None
    return wide_logits(member.wide, counts)


def member_folder(root: Path, name: str) -> Path:
    """Where a member's files lie: `final` at the root, `foldK` under folds/K."""
    return root if name == "final" else root / "folds" / name.removeprefix("fold")


def write_weights(folder: Path, weights: Weights, lora_config: dict[str, Any] | None) -> None:
    """Write head.safetensors, wide.safetensors, the same of the lone reading in alone/, and either PEFT's adapter_config.json and adapter_model.safetensors or layers.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    if lora_config is not None:
        (folder / "adapter_config.json").write_text(json.dumps(lora_config, indent=1))
    if weights.upper:
        name = LORA_FILE if is_lora(weights.upper) else LAYERS_FILE
        torch_tensors.save_file(weights.upper, folder / name, metadata={"format": "pt"})
    _write_reading(folder, weights.head, weights.wide)
    if weights.alone is not None:
        (folder / ALONE).mkdir(exist_ok=True)
        _write_reading(folder / ALONE, weights.alone.head, weights.alone.wide)


def read_weights(folder: Path) -> Weights:
    """Inverse of `write_weights`."""
    upper_file = next((file for name in (LORA_FILE, LAYERS_FILE) if (file := folder / name).exists()), None)
    upper = torch_tensors.load_file(upper_file) if upper_file is not None else {}
    alone = None
    if (folder / ALONE).is_dir():
        head, wide = _read_reading(folder / ALONE)
        assert wide is not None, "a reading of its own is made for a wide branch of its own"
        alone = LoneWeights(head, wide)
    return Weights(upper, *_read_reading(folder), alone)


def _write_reading(folder: Path, head: dict[str, Tensor], wide: Wide | None) -> None:
    torch_tensors.save_file(head, folder / "head.safetensors")
    if wide is not None:
        arrays = {key: np.ascontiguousarray(value) for key, value in wide.to_tensors().items()}
        numpy_tensors.save_file(arrays, folder / "wide.safetensors")


def _read_reading(folder: Path) -> tuple[dict[str, Tensor], Wide | None]:
    path = folder / "wide.safetensors"
    arrays: dict[str, NDArray[np.generic]] = numpy_tensors.load_file(path) if path.exists() else {}
    head = torch_tensors.load_file(folder / "head.safetensors")
    return head, Wide.from_tensors(arrays) if arrays else None


def ready_member(
    name: str, weights: Weights, calibration: Calibration, encoder: Encoder, depth: int, scaling: float
) -> Member:
    """A member on an encoder, its layers as `models.encoder.tuning.ready_layers` makes them."""
    head = head_from_state(weights.head).to(encoder.device)
    upper = ready_layers(encoder, depth, weights.upper, scaling)
    return Member(name, upper, head, weights.wide, calibration)


def with_alone(member: Member, weights: LoneWeights, calibration: Calibration) -> Member:
    """A member with its second reading, on the device of the first."""
    head = head_from_state(weights.head).to(member.head.fixed.device)
    return replace(member, alone=Member(member.name, member.upper, head, weights.wide, calibration))


def write_calibration(folder: Path, calibration: Calibration, option_keys: tuple[str, ...]) -> None:
    """Write calibration.json."""
    (folder / CALIBRATION).write_text(json.dumps(calibration.to_document(option_keys), indent=1))


def read_calibration(folder: Path) -> Calibration:
    """Inverse of `write_calibration`."""
    return Calibration.from_document(json.loads((folder / CALIBRATION).read_text()))


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
