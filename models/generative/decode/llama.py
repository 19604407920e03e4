"""Llama's arithmetic on flat tokens, for prompts and for single steps alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.generative.decode.linear import Linear, Weights
from models.generative.rotary import turned

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Layer, query (tokens, heads, size), keys and values (tokens, shared heads, size) -> (tokens, heads · size)."""


@dataclass(frozen=True, slots=True, eq=False)
class LlamaLayer:
    """One layer's weights."""

    norm: Tensor
    attention_in: Linear
    attention_out: Linear
    norm_after: Tensor
    gates: Linear
    out: Linear


@dataclass(frozen=True, slots=True, eq=False)
class Llama:
    """A Llama without its layers, which adapters change."""

    embeddings: Tensor
    norm: Tensor
    head: Tensor
    frequencies: Tensor
    """fp32 (size / 2,)."""
    stretch: float
    """What cosines and sines are multiplied with (YaRN)."""
    epsilon: float
    heads: int
    shared_heads: int
    size: int

    @property
    def scale(self) -> float:
        """Of attention scores."""
        return 1 / math.sqrt(self.size)

    def states(self, layers: Sequence[LlamaLayer], ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """States after the last layer and its norm: (tokens, width) of int64 (tokens,) ids at their positions."""
        x = functional.embedding(ids, self.embeddings)
        angles = positions[:, None].float() * self.frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None, :]
        cos, sin = ((part * self.stretch).to(x.dtype) for part in (angles.cos(), angles.sin()))
        for number, layer in enumerate(layers):
            query, key, value = layer.attention_in.split(self._normed(x, layer.norm))
            query = turned(query.view(-1, self.heads, self.size), cos, sin, False, 1.0)
            key = turned(key.view(-1, self.shared_heads, self.size), cos, sin, False, 1.0)
            mixed = attend(number, query, key, value.view(-1, self.shared_heads, self.size))
            x = x + layer.attention_out(mixed)
            gate, up = layer.gates.split(self._normed(x, layer.norm_after))
            x = x + layer.out(functional.silu(gate) * up)
        return self._normed(x, self.norm)

    def logits(self, states: Tensor) -> Tensor:
        """fp32 (tokens, vocabulary)."""
        return functional.linear(states, self.head).float()

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)


def take_llama(model: Any, weights: Weights) -> tuple[Llama, tuple[LlamaLayer, ...]]:
    """A loaded LlamaForCausalLM's weights, taken from `weights`."""
    config, rotary = model.config, model.model.rotary_emb
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = []
    for number in range(config.num_hidden_layers):
        at = f"model.layers.{number}."
        layers.append(
            LlamaLayer(
                norm=weights.take(f"{at}input_layernorm.weight"),
                attention_in=weights.linear(*(f"{at}self_attn.{part}_proj" for part in "qkv")),
                attention_out=weights.linear(f"{at}self_attn.o_proj"),
                norm_after=weights.take(f"{at}post_attention_layernorm.weight"),
                gates=weights.linear(f"{at}mlp.gate_proj", f"{at}mlp.up_proj"),
                out=weights.linear(f"{at}mlp.down_proj"),
            )
        )
    body = Llama(
        embeddings=weights.take("model.embed_tokens.weight"),
        norm=weights.take("model.norm.weight"),
        head=weights.take("lm_head.weight"),
        frequencies=rotary.inv_freq.float(),
        stretch=float(rotary.attention_scaling),
        epsilon=config.rms_norm_eps,
        heads=config.num_attention_heads,
        shared_heads=config.num_key_value_heads,
        size=size,
    )
    return body, tuple(layers)
