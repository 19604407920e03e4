"""Loading a model that writes: a base model's weights, and an adapter's LoRA on them, merged or beside the shared base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from models.catalog import CATALOG, family_of, weights_digest
from models.encoder.load import compute_dtype
from models.generative.decode.causal import CausalModel
from models.generative.decode.gptj import take_gptj
from models.generative.decode.linear import Linear, LowRank, Weights, tensors_of, with_lora
from models.generative.decode.llama import take_llama
from models.generative.decode.pairs import PairModel
from models.generative.decode.t5 import take_t5
from models.generative.decode.wording import Wording, read_wording, task_of
from models.generative.load import load_model

Model = CausalModel | PairModel
MERGED_BYTES = 1 << 30
"""Base models up to this size are copied for an adapter; larger ones are shared, and LoRA is computed beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """A model that writes, with its words."""

    name: str
    """Catalog name, or the last part of a local folder's path."""
    sha256: str
    """Of the base model's weights."""
    wording: Wording
    model: Model
    bytes: int
    """Memory of all its weights."""
    own_bytes: int
    """Memory that it does not share with its base model."""


def load_writer(folder: Path, name: str, device: torch.device, dtype: torch.dtype | None = None) -> Writer:
    """Load a base model.

    Args:
        folder: config.json, tokenizer, safetensors.
        name: as it was asked for.
        device: where it shall run.
        dtype: of its weights; None: what the device computes best.

    Raises:
        NotGenerativeError: it writes no text.
    """
    wording = read_wording(folder, name)
    chosen = dtype or compute_dtype(device)
    model = read_model(folder, name, chosen, device)
    size = _bytes(model)
    shown = name if name in CATALOG else Path(name).name
    return Writer(shown, weights_digest(folder), wording, model, size, size)


def adapted(
    base: Writer, lora: Mapping[str, LowRank], reading: Mapping[str, Any], *, merge: bool | None = None
) -> Writer:
    """An adapter's model.

    Args:
        base: its base model.
        lora: by linear.
        reading: the manifest's: how many tokens it was trained to read.
        merge: whether LoRA goes into copies of the weights; None: for small models.

    Raises:
        KeyError: LoRA on a linear that the base model does not have.
    """
    _check_names(base.model, lora)
    merged = base.bytes <= MERGED_BYTES if merge is None else merge
    if isinstance(base.model, PairModel):
        pair = base.model
        model: Model = replace(
            pair,
            encoder=with_lora(pair.encoder, lora, merge=merged),
            decoder=with_lora(pair.decoder, lora, merge=merged),
        )
    else:
        model = replace(base.model, layers=with_lora(base.model.layers, lora, merge=merged))
    shared = {tensor.data_ptr() for tensor in _tensors(base.model)}
    own = sum(tensor.nbytes for tensor in _tensors(model) if tensor.data_ptr() not in shared)
    return replace(
        base, model=model, wording=_reading(base.wording, reading), bytes=_bytes(model), own_bytes=own
    )


def read_model(folder: Path, name: str, dtype: torch.dtype, device: torch.device) -> Model:
    """The weights of a folder, joined for decoding."""
    family = family_of(folder)
    task = task_of(family, name)
    loaded: Any = load_model(folder, task, dtype, device)
    return joined(loaded, dtype)


def joined(loaded: Any, dtype: torch.dtype) -> Model:
    """The weights of a loaded transformers model, which must not be used afterwards."""
    family = loaded.config.model_type
    weights = Weights(loaded.state_dict(), dtype)
    for parameter in loaded.parameters():
        parameter.data = parameter.data.new_empty(0)  # from now on `weights` alone holds them
    if family == "llama":
        return CausalModel(*take_llama(loaded, weights))
    if family == "gptj":
        return CausalModel(*take_gptj(loaded, weights))
    return PairModel(*take_t5(loaded, weights))


def _reading(wording: Wording, reading: Mapping[str, Any]) -> Wording:
    if wording.task == "summarize":
        return replace(wording, longest_input=int(reading.get("max_input_tokens", wording.longest_input)))
    return replace(wording, block=int(reading.get("block_tokens") or wording.block))


def _check_names(model: Model, lora: Mapping[str, LowRank]) -> None:
    layers: list[Any] = (
        [*model.encoder, *model.decoder] if isinstance(model, PairModel) else list(model.layers)
    )
    known = {
        name
        for layer in layers
        for field in fields(layer)
        if isinstance(linear := getattr(layer, field.name), Linear)
        for name in linear.names
    }
    unknown = sorted(set(lora) - known)
    if unknown:
        raise KeyError(f"the adapter changes {unknown[0]!r}, which its base model does not have")


def _tensors(model: Model) -> list[torch.Tensor]:
    if isinstance(model, PairModel):
        body = model.body
        rest = [body.embeddings, body.head]
        return [*tensors_of(model.encoder), *tensors_of(model.decoder), *rest]
    return [*tensors_of(model.layers), model.body.embeddings, model.body.head]


def _bytes(model: Model) -> int:
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in _tensors(model)}.values())
