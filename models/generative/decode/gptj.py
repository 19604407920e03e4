"""GPT-J's arithmetic on flat tokens: attention and the wide layer read the same normed states, so they share one product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from models.generative.decode.linear import Linear, Weights
from models.generative.decode.llama import Attend
from models.generative.rotary import turned


@dataclass(frozen=True, slots=True, eq=False)
class GptjLayer:
    """One layer's weights."""

    norm: Tensor
    norm_bias: Tensor
    inside: Linear
    """Query, key, value and the wide layer."""
    attention_out: Linear
    out: Linear


@dataclass(frozen=True, slots=True, eq=False)
class Gptj:
    """A GPT-J without its layers, which adapters change."""

    embeddings: Tensor
    norm: Tensor
    norm_bias: Tensor
    head: Tensor
    head_bias: Tensor
    angles: Tensor
    """fp32 (positions, turned): sines, then cosines."""
    turned: int
    """Numbers of a head that positions turn."""
    epsilon: float
    heads: int
    size: int

    @property
    def shared_heads(self) -> int:
        """Heads of keys and values."""
        return self.heads

    @property
    def scale(self) -> float:
        """Of attention scores."""
        return 1 / math.sqrt(self.size)

    def states(self, layers: Sequence[GptjLayer], ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """States after the last layer and its norm: (tokens, width) of int64 (tokens,) ids at their positions."""
        x = functional.embedding(ids, self.embeddings)
        sin, cos = (
            part.repeat_interleave(2, dim=-1)[:, None, :].to(x.dtype)
            for part in self.angles[positions].chunk(2, dim=-1)
        )
        shape = (-1, self.heads, self.size)
        for number, layer in enumerate(layers):
            normed = functional.layer_norm(x, layer.norm.shape, layer.norm, layer.norm_bias, self.epsilon)
            query, key, value, wide = layer.inside.split(normed)
            query, key = (turned(part.view(shape), cos, sin, True, 1.0) for part in (query, key))
            mixed = attend(number, query, key, value.view(shape))
            x = x + layer.attention_out(mixed) + layer.out(functional.gelu(wide, approximate="tanh"))
        return functional.layer_norm(x, self.norm.shape, self.norm, self.norm_bias, self.epsilon)

    def logits(self, states: Tensor) -> Tensor:
        """fp32 (tokens, vocabulary)."""
        return functional.linear(states, self.head, self.head_bias).float()


def take_gptj(model: Any, weights: Weights) -> tuple[Gptj, tuple[GptjLayer, ...]]:
    """A loaded GPTJForCausalLM's weights, taken from `weights`."""
    config = model.config
    if config.activation_function != "gelu_new":
        raise ValueError(f"a GPT-J model with the activation {config.activation_function!r} cannot be served")
    size = config.n_embd // config.n_head
    layers = []
    for number in range(config.n_layer):
        at = f"transformer.h.{number}."
        layers.append(
            GptjLayer(
                norm=weights.take(f"{at}ln_1.weight"),
                norm_bias=weights.take(f"{at}ln_1.bias"),
                inside=weights.linear(*(f"{at}attn.{part}_proj" for part in "qkv"), f"{at}mlp.fc_in"),
                attention_out=weights.linear(f"{at}attn.out_proj"),
                out=weights.linear(f"{at}mlp.fc_out"),
            )
        )
    body = Gptj(
        embeddings=weights.take("transformer.wte.weight"),
        norm=weights.take("transformer.ln_f.weight"),
        norm_bias=weights.take("transformer.ln_f.bias"),
        head=weights.take("lm_head.weight"),
        head_bias=weights.take("lm_head.bias"),
        angles=model.transformer.h[0].attn.embed_positions.float(),
        turned=config.rotary_dim or config.n_embd,
        epsilon=config.layer_norm_epsilon,
        heads=config.n_head,
        size=size,
    )
    return body, tuple(layers)
