"""Loading a base model for generative training: frozen, local safetensors only, LoRA on its blocks."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)
from transformers.utils import logging as transformers_logging

from models.catalog import CATALOG, GENERATIVE_FAMILIES, locate, weights_digest
from models.encoder.load import compute_dtype, resolve_device
from models.generative.gptj import pack_gptj
from models.generative.llama import pack_llama
from models.generative.lora import scaling_of, target_names, with_lora
from models.generative.packing import Packing
from models.training.errors import TrainingRefusedError

if TYPE_CHECKING:
    from models.generative.request import GenerativeRequest  # pydantic is not needed to train

LONGEST_BLOCK = 2048
"""Tokens of a block where the request does not say, if the model reads so many."""
UNBOUNDED = 1 << 30
"""T5's positions are relative: it has no longest input."""


@dataclass(frozen=True, slots=True)
class Base:
    """A base model with untrained LoRA on it."""

    name: str
    """Catalog name, or the last part of a local folder's path: paths of this machine stay here."""
    path: Path
    family: str
    sha256: str
    model: nn.Module
    tokenizer: Any
    trained: dict[str, nn.Parameter]
    """fp32, under PEFT's names."""
    targets: list[str]
    packing: Packing
    device: torch.device
    dtype: torch.dtype
    longest: int
    """Tokens the model can read at once."""
    vocabulary: int


def load_base(request: GenerativeRequest) -> Base:
    """Locate and load the base model of a request.

    Raises:
        ModelUnavailableError: it cannot be had.
        TrainingRefusedError: of another family than the task needs, no tokenizer, QLoRA or CUDA where there is none.
    """
    path = locate(request.base_model, request.catalog.settings())
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    name = request.base_model if request.base_model in CATALOG else Path(request.base_model).name
    _check_family(name, config.model_type, request.task)
    device = _device(request)
    dtype = compute_dtype(device) if request.dtype == "auto" else getattr(torch, request.dtype)
    model = load_model(path, request.task, dtype, device, four_bit=request.method == "qlora")
    packing = Packing()
    prepare_attention(model, packing)
    trained = with_lora(model, request.lora_rank, scaling_of(request.method, request.lora_rank), request.seed)
    return Base(
        name=name,
        path=path,
        family=config.model_type,
        sha256=weights_digest(path),
        model=model,
        tokenizer=_tokenizer(path, name),
        trained=trained,
        targets=target_names(trained),
        packing=packing,
        device=device,
        dtype=dtype,
        longest=UNBOUNDED if request.task == "summarize" else config.max_position_embeddings,
        vocabulary=config.vocab_size,
    )


def prepare_attention(model: nn.Module, packing: Packing) -> None:
    """Let a decoder attend within documents, in place; encoder-decoders stay as they are. In evaluation mode: no dropout."""
    model.eval()
    family = model.config.model_type  # type: ignore[union-attr]
    if family == "gptj":
        pack_gptj(model, packing)
    elif family == "llama":
        pack_llama(model, packing)


def load_model(
    path: Path, task: str, dtype: torch.dtype, device: torch.device, *, four_bit: bool = False
) -> nn.Module:
    """The bare model of a folder, on its device."""
    kind = AutoModelForCausalLM if task == "causal" else AutoModelForSeq2SeqLM
    options: dict[str, Any] = {"dtype": dtype}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )  # fmt: skip
        options["device_map"] = {"": device}
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: nn.Module = kind.from_pretrained(
            path, local_files_only=True, trust_remote_code=False, use_safetensors=True, **options
        )
    finally:
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model if four_bit else model.to(device)


def checkpoint_activations(model: nn.Module) -> None:
    """Keep only the layers' inputs from now on, in place. The layers alone are set to training: dropout stays off."""
    model.activation_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.training = True


def output_layer(model: nn.Module) -> tuple[nn.Module, nn.Linear]:
    """A decoder's body and its output layer."""
    body = model.transformer if model.config.model_type == "gptj" else model.model  # type: ignore[union-attr]
    return body, model.lm_head  # type: ignore[return-value]


def _check_family(name: str, family: str, task: str) -> None:
    fitting = GENERATIVE_FAMILIES[task]
    if family in fitting:
        return
    known = [entry.name for entry in CATALOG.values() if entry.family in fitting]
    raise TrainingRefusedError(
        "base-model-unsuitable",
        "base_model",
        f"{name!r} is a {family or 'nameless'} model; {task} is trained on {', '.join(fitting)}: "
        f"{', '.join(known)}, or a local folder of these families",
    )


def _device(request: GenerativeRequest) -> torch.device:
    try:
        device = resolve_device(request.device)
    except ValueError as error:
        raise TrainingRefusedError("device-unavailable", "device", str(error)) from error
    if request.method == "qlora" and (
        device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None
    ):
        raise TrainingRefusedError(
            "qlora-unavailable",
            "method",
            "QLoRA needs a CUDA device and the package bitsandbytes: use lora or rslora, or train where both are",
        )
    return device


def _tokenizer(path: Path, name: str) -> Any:
    try:
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise TrainingRefusedError(
            "base-model-unsuitable", "base_model", f"{name!r} has no tokenizer that can be read: {error}"
        ) from error
