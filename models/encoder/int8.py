"""Linears in 8 bits on a CPU: weights per output channel, activations per token, so that no text depends on its batch mates.

PyTorch's own dynamic linear takes one scale for a whole batch: a text would read differently in other company. Here every
token has its own. Activations get 7 bits, because AVX2 adds products of 8 by 8 bits in pairs of 16 and would saturate.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from models.encoder.load import Encoder

Layers = TypeVar("Layers", bound=nn.Module)
_STEPS = 63
"""Of an activation to each side of zero."""
_ZERO = 64
_WEIGHT_STEPS = 127


class PrecisionUnavailableError(ValueError):
    """8-bit linears were asked for where they cannot be computed."""

    code = "precision-unavailable"
    field = "inference_precision"


class Int8Linear(nn.Module):
    """A frozen linear whose product is of 8-bit numbers; what comes out is fp32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(dim=1).clamp(min=1e-12) / _WEIGHT_STEPS
        with (
            warnings.catch_warnings()
        ):  # deprecated for a package that does not compute this on AVX2; the version is pinned
            warnings.simplefilter("ignore")
            held = torch.quantize_per_channel(
                weight, scales.double(), torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8
            )
            self.packed: Any = torch.ops.quantized.linear_prepack(held, None)
        self.bias = linear.bias
        self.in_features, self.out_features = linear.in_features, linear.out_features

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return self.in_features * self.out_features + 8 * self.out_features

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        rows = x.reshape(-1, self.in_features)
        scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=1e-12).div_(_STEPS)
        found: Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(
            rows / scale, 1.0, _ZERO, self.packed
        )
        found = found.mul_(scale) if self.bias is None else torch.addcmul(self.bias, found, scale)
        return found.view(*x.shape[:-1], self.out_features)

    def __deepcopy__(self, memo: dict[int, Any]) -> Int8Linear:
        """Copies share it: it is frozen."""
        return self


def int8_bytes(layers: nn.Module) -> int:
    """Bytes of the 8-bit weights in some layers."""
    return sum(part.nbytes for part in layers.modules() if isinstance(part, Int8Linear))


def require_int8(encoder: Encoder) -> None:
    """Raise PrecisionUnavailableError unless the encoder computes in fp32 on a CPU that multiplies 8-bit numbers."""
    engines = set(torch.backends.quantized.supported_engines) & {"fbgemm", "x86", "onednn"}
    if encoder.device.type != "cpu" or encoder.dtype != torch.float32 or not engines:
        raise PrecisionUnavailableError(
            "8-bit linears are computed on x86 CPUs that compute in fp32: set REMAND_INFERENCE_PRECISION to auto"
        )


def with_int8(layers: Layers) -> Layers:
    """A copy of some layers with every linear in 8 bits; all other weights are shared."""
    shared: list[object] = [*layers.parameters(), *layers.buffers()]
    copied = copy.deepcopy(layers, {id(part): part for part in shared})
    for name, module in list(copied.named_modules()):
        if isinstance(module, nn.Linear):
            parent = copied.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], Int8Linear(module))
    return copied


def int8_encoder(encoder: Encoder) -> Encoder:
    """The same encoder with its linears in 8 bits; embeddings and norms are shared with it."""
    require_int8(encoder)
    return replace(encoder, model=with_int8(encoder.model))
