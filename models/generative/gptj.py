"""GPT-J attention for packed documents: transformers' own has neither a fused path nor separate documents in one row."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.models.gptj.modeling_gptj import GPTJMLP, GPTJAttention, apply_rotary_pos_emb

from models.generative.activations import TanhGelu
from models.generative.lora import read_together
from models.generative.packing import NAME, Packing, attend
from models.generative.rotary import Rotated


def packed_forward(
    self: Any, hidden_states: Tensor, position_ids: Tensor | None = None, **_: Any
) -> tuple[Tensor, None]:
    """The forward of a GPTJAttention whose `packing` says where documents lie.

    Args:
        self: the module.
        hidden_states: (1, tokens, hidden).
        position_ids: int64 (1, tokens), restarting at 0 for each piece.

    Returns:
        (1, tokens, hidden), and no weights.
    """
    assert position_ids is not None
    batch, tokens, _hidden = hidden_states.shape
    shape = (batch, tokens, self.num_attention_heads, self.head_dim)
    found = read_together(hidden_states, (self.q_proj, self.k_proj, self.v_proj))
    query, key, value = (part.view(shape) for part in found)
    table = self.embed_positions
    sin, cos = table.to(hidden_states.device)[position_ids].to(key.dtype).chunk(2, dim=-1)
    query, key = (_rotated(part, sin, cos, self.rotary_dim or self.head_dim) for part in (query, key))
    mixed = attend(
        self.packing, query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), self.head_dim**-0.5
    )
    return self.resid_dropout(self.out_proj(mixed.reshape(batch, tokens, -1))), None


def pack_gptj(model: nn.Module, packing: Packing) -> None:
    """Let every attention of a GPT-J model attend within the pieces of `packing`, in place, and its GELU be one function."""
    for module in list(model.modules()):
        if isinstance(module, GPTJMLP) and isinstance(module.act, NewGELUActivation):
            module.act = TanhGelu()
        if isinstance(module, GPTJAttention):
            module.packing = packing  # type: ignore[assignment]
            module.forward = MethodType(packed_forward, module)  # type: ignore[method-assign]
    # No mask is made for an attention that transformers does not know.
    model.config._attn_implementation = NAME  # type: ignore[union-attr]  # noqa: SLF001


def _rotated(heads: Tensor, sin: Tensor, cos: Tensor, rotated: int) -> Tensor:
    """(1, tokens, heads, size) with the first `rotated` numbers of every head turned by their position."""
    if heads.device.type == "cpu" and heads.dtype == torch.float32:
        angles = (part.repeat_interleave(2, dim=-1).unsqueeze(2) for part in (cos, sin))
        found: Tensor = Rotated.apply(heads, *angles, True)  # type: ignore[no-untyped-call]
        return found
    turned = apply_rotary_pos_emb(heads[..., :rotated], sin, cos)
    return torch.cat((turned, heads[..., rotated:]), dim=-1) if rotated < heads.shape[-1] else turned
