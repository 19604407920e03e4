"""Loading a base encoder from a local folder: BERT (MiniLM), RoBERTa, XLM-RoBERTa and DistilBERT families."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from models.catalog import ENCODER_FAMILIES, weights_digest

LAYER_PATHS = MappingProxyType(
    {
        "bert": "encoder.layer",
        "roberta": "encoder.layer",
        "xlm-roberta": "encoder.layer",
        "distilbert": "transformer.layer",
    }
)
"""Where a family keeps its transformer layers, as PEFT's parameter names have it."""

# RoBERTa counts positions from its padding index + 1, so two of its positions are never used.
_POSITIONS_LOST = MappingProxyType({"roberta": 2, "xlm-roberta": 2})


class UnsupportedEncoderError(ValueError):
    """The folder holds a model that is not one of the encoder families, or lacks a part of one."""

    code = "unsupported-encoder"


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
    """Ids put before and after a window's content."""

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        found: nn.ModuleList = attrgetter(LAYER_PATHS[self.family])(self.model)
        return found

    @property
    def layer_path(self) -> str:
        """The layers' place in the model, such as `encoder.layer`."""
        return LAYER_PATHS[self.family]


def load_encoder(path: Path | str, device: str = "auto") -> Encoder:
    """Load a base encoder, frozen, in bf16 where the hardware computes it and else in fp32.

    Only local safetensors are read and no code that comes with a model is run.

    Args:
        path: a folder as `models.catalog.locate` gives it.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UnsupportedEncoderError: another family of model, or no fast tokenizer.
        OSError: the folder lacks files.
    """
    path = Path(path)
    place = resolve_device(device)
    dtype = compute_dtype(place)
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    if config.model_type not in ENCODER_FAMILIES:
        raise UnsupportedEncoderError(
            f"{path.name} is a {config.model_type!r} model; encoders of these families can be trained: "
            f"{', '.join(sorted(ENCODER_FAMILIES))}"
        )
    model = _load_model(path).to(device=place, dtype=dtype).eval().requires_grad_(False)
    tokenizer = _load_tokenizer(path)
    encoded = tokenizer.encode("", add_special_tokens=True).ids
    lost = _POSITIONS_LOST.get(config.model_type, 0)
    return Encoder(
        path=path,
        family=config.model_type,
        sha256=weights_digest(path),
        model=model,
        tokenizer=tokenizer,
        device=place,
        dtype=dtype,
        hidden_size=config.hidden_size,
        depth=config.num_hidden_layers,
        max_tokens=min(512, config.max_position_embeddings - lost),
        pad_id=config.pad_token_id or 0,
        special_ids=(tuple(encoded[:1]), tuple(encoded[1:])),
    )


def resolve_device(device: str) -> torch.device:
    """The torch device for `auto`, `cpu` or `cuda[:N]`; ValueError where CUDA is asked for and absent."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
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


def _load_model(path: Path) -> nn.Module:
    # A pooler or a language-model head that is left out is no news, and a progress bar none of our output's business.
    previous, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: nn.Module = AutoModel.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, use_safetensors=True,
            dtype=torch.float32, attn_implementation="sdpa",
        )  # fmt: skip
    finally:
        transformers_logging.set_verbosity(previous)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model


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
