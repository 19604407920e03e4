"""Loading a base model from a local folder: every family of `models.families`, frozen, for reading texts."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, BitsAndBytesConfig, T5EncoderModel
from transformers.utils import logging as transformers_logging

from models.catalog import weights_digest
from models.encoder.frames import give_frames
from models.families import FAMILIES, Family

Quantization = Literal["nf4"]


class UnsupportedEncoderError(ValueError):
    """The folder holds a model that is of none of the families, or lacks a part of one."""

    code = "unsupported-encoder"


class DeviceUnavailableError(ValueError):
    """CUDA was asked for and is not there."""

    code = "device-unavailable"
    field = "device"


class QuantizationUnavailableError(ValueError):
    """A 4-bit base needs CUDA and bitsandbytes."""

    code = "qlora-unavailable"
    field = "method"


@dataclass(frozen=True, slots=True)
class Encoder:
    """A frozen base model in evaluation mode with its tokenizer. Everything needed to turn texts into hidden states."""

    path: Path
    family: str
    sha256: str
    model: nn.Module
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    hidden_size: int
    depth: int
    """Number of transformer layers."""
    max_tokens: int
    """Longest window in tokens, special ones included."""
    pad_id: int
    special_ids: tuple[tuple[int, ...], tuple[int, ...]]
    """Ids put before and after a window's content: one at least, so that no window is empty."""
    quantization: Quantization | None = None
    """How its weights are held; None: as they are."""

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        found: nn.ModuleList = attrgetter(self.layer_path)(self.model)
        return found

    @property
    def layer_path(self) -> str:
        """The layers' place in the model, such as `encoder.layer`."""
        return FAMILIES[self.family].layers


def load_encoder(
    path: Path | str,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    quantization: Quantization | None = None,
) -> Encoder:
    """Load a base model, frozen, in bf16 where the hardware computes it and else in fp32.

    Only local safetensors are read and no code that comes with a model is run. Positions stay in fp32 whatever the dtype.

    Args:
        path: a folder as `models.catalog.locate` gives it.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: of weights and hidden states; None for the hardware's.
        quantization: `nf4` for 4-bit weights (Dettmers et al. 2023, "QLoRA"), computed with in `dtype`.

    Raises:
        UnsupportedEncoderError: another family of model, or no fast tokenizer.
        DeviceUnavailableError, QuantizationUnavailableError: this machine lacks what was asked for.
        OSError: the folder lacks files.
    """
    path = Path(path)
    place = resolve_device(device)
    if quantization is not None:
        require_quantization(place)
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UnsupportedEncoderError(
            f"{path.name} is a {config.model_type!r} model; models of these families can be trained: "
            f"{', '.join(sorted(FAMILIES))}"
        )
    chosen = dtype or compute_dtype(place)
    model = _load_model(path, family, place, chosen, quantization)
    give_frames(model, family)
    tokenizer = _load_tokenizer(path)
    return Encoder(
        path=path,
        family=family.name,
        sha256=weights_digest(path),
        model=model,
        tokenizer=tokenizer,
        device=place,
        dtype=chosen,
        hidden_size=config.hidden_size,
        depth=config.num_hidden_layers,
        max_tokens=min(family.longest, _positions(config, family)),
        pad_id=config.pad_token_id or 0,
        special_ids=special_ids(tokenizer, config, path.name),
        quantization=quantization,
    )


def resolve_device(device: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda[:N]`; DeviceUnavailableError where CUDA is asked for and absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceUnavailableError(
            f"device {device!r} was asked for, but no CUDA device is visible; use 'auto' or 'cpu'"
        )
    return torch.device(device)


def compute_dtype(device: torch.device) -> torch.dtype:
    """bf16 on CUDA and on CPUs with AVX-512 BF16 or AMX; fp32 elsewhere, where bf16 is emulated and slow."""
    if device.type == "cuda":
        return torch.bfloat16
    capable = any(
        getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return torch.bfloat16 if capable else torch.float32


def require_quantization(device: torch.device) -> None:
    """Raise QuantizationUnavailableError unless 4-bit weights can be held on the device."""
    missing = [] if device.type == "cuda" else [f"a CUDA device (this job runs on {device.type})"]
    if importlib.util.find_spec("bitsandbytes") is None:
        missing.append("the package bitsandbytes")
    if missing:
        raise QuantizationUnavailableError(
            f"qlora needs {' and '.join(missing)}: provide it, or train with method 'lora' and a smaller base model"
        )


def special_ids(tokenizer: Tokenizer, config: Any, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ids that a tokenizer puts before and after a text; where it puts none, the token that documents begin with.

    Raises:
        UnsupportedEncoderError: the model has no such token either, so that an empty text would be read as nothing.
    """
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a", add_special_tokens=True).ids
    start = next(at for at in range(len(whole) + 1) if whole[at : at + len(plain)] == plain)
    before, after = tuple(whole[:start]), tuple(whole[start + len(plain) :])
    if before or after:
        return before, after
    first = config.bos_token_id if config.bos_token_id is not None else config.eos_token_id
    if first is None:
        raise UnsupportedEncoderError(
            f"{name} has neither special tokens nor a bos_token_id to begin a text with"
        )
    return (int(first),), ()


def _positions(config: Any, family: Family) -> int:
    """Positions of the model; T5 has no limit, since its bias is relative."""
    found = getattr(config, "max_position_embeddings", None)
    return family.longest if found is None else int(found) - family.positions_lost


def _load_model(
    path: Path, family: Family, place: torch.device, dtype: torch.dtype, quantization: Quantization | None
) -> nn.Module:
    # A pooler or a language-model head that is left out is no news, and a progress bar none of our output's business.
    previous, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = T5EncoderModel if family.name == "t5" else AutoModel
    try:
        model: nn.Module = kind.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            dtype=dtype, attn_implementation=family.attention, **_quantized(place, dtype, quantization),
        )  # fmt: skip
    finally:
        transformers_logging.set_verbosity(previous)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    placed = model if quantization else model.to(place)
    return placed.eval().requires_grad_(False)


def _quantized(place: torch.device, dtype: torch.dtype, quantization: Quantization | None) -> dict[str, Any]:
    if quantization is None:
        return {}
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=quantization, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )  # type: ignore[no-untyped-call]  # fmt: skip
    return {"quantization_config": config, "device_map": {"": place}}


def _load_tokenizer(path: Path) -> Tokenizer:
    loaded = AutoTokenizer.from_pretrained(
        path, local_files_only=True, trust_remote_code=False, use_fast=True
    )
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise UnsupportedEncoderError(f"{path.name} has no fast tokenizer (tokenizer.json)")
    backend.no_truncation()
    backend.no_padding()
    return backend
