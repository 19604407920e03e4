"""Llama's layers for packed documents: attention within pieces, linears that read the same states together."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaMLP,
    LlamaRMSNorm,
    apply_rotary_pos_emb,
)

from models.generative.lora import read_together
from models.generative.norms import RootMeanSquare
from models.generative.packing import NAME, Packing, attend
from models.generative.rotary import Rotated


def packed_forward(
    self: Any, hidden_states: Tensor, position_embeddings: tuple[Tensor, Tensor], **_: Any
) -> tuple[Tensor, None]:
    """The forward of a LlamaAttention whose `packing` says where documents lie.

    Args:
        self: the module.
        hidden_states: (1, tokens, hidden).
        position_embeddings: cos and sin, (1, tokens, size), of positions that restart at 0 for each piece.

    Returns:
        (1, tokens, hidden), and no weights.
    """
    batch, tokens, _hidden = hidden_states.shape
    shape = (batch, tokens, -1, self.head_dim)
    found = read_together(hidden_states, (self.q_proj, self.k_proj, self.v_proj))
    query, key, value = (part.view(shape) for part in found)
    cos, sin = position_embeddings
    if _plain(query):
        angles = cos.unsqueeze(2), sin.unsqueeze(2)
        query, key = (Rotated.apply(part, *angles, False) for part in (query, key))  # type: ignore[no-untyped-call]
    else:
        query, key = apply_rotary_pos_emb(query, key, cos, sin, unsqueeze_dim=2)
    mixed = attend(
        self.packing, query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), self.scaling
    )
    return self.o_proj(mixed.reshape(batch, tokens, -1)), None


def gated_forward(self: Any, x: Tensor) -> Tensor:
    """The forward of a LlamaMLP: (…, hidden) likewise."""
    gate, up = read_together(x, (self.gate_proj, self.up_proj))
    found: Tensor = self.down_proj(self.act_fn(gate) * up)
    return found


def norm_forward(self: Any, hidden_states: Tensor) -> Tensor:
    """The forward of a LlamaRMSNorm: (…, hidden) likewise."""
    if _plain(hidden_states):
        found: Tensor = RootMeanSquare.apply(hidden_states, self.weight, self.variance_epsilon)  # type: ignore[no-untyped-call]
    else:
        found = LlamaRMSNorm.forward(self, hidden_states)
    return found


def pack_llama(model: nn.Module, packing: Packing) -> None:
    """Let every attention of a Llama model attend within the pieces of `packing`, in place."""
    forwards: dict[type, Callable[..., Any]] = {
        LlamaAttention: packed_forward,
        LlamaMLP: gated_forward,
        LlamaRMSNorm: norm_forward,
    }
    for module in model.modules():
        forward = forwards.get(type(module))
        if forward is not None:
            module.forward = MethodType(forward, module)
        if isinstance(module, LlamaAttention):
            module.packing = packing  # type: ignore[assignment]
    # Set on the configuration, not through the model's setter: no mask is made for an attention that transformers does not know.
    model.config._attn_implementation = NAME  # type: ignore[union-attr]  # noqa: SLF001


def _plain(x: Tensor) -> bool:
    """Whether it is fp32 on a CPU, where PyTorch's own operations cost a pass over memory each."""
    return x.device.type == "cpu" and x.dtype == torch.float32
