"""T5's arithmetic: the encoder on flat tokens, the decoder's single steps. No score is scaled, and positions are a bias by distance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers.activations import ACT2FN

from models.generative.decode.attention import attend_step
from models.generative.decode.linear import Linear, Weights

_BLOCK = 512
"""Queries of the encoder that are read at once: what bounds the memory of long inputs."""


@dataclass(frozen=True, slots=True, eq=False)
class T5EncoderLayer:
    """One layer's weights."""

    norm: Tensor
    attention_in: Linear
    attention_out: Linear
    norm_after: Tensor
    wide: Linear
    out: Linear


@dataclass(frozen=True, slots=True, eq=False)
class T5DecoderLayer:
    """One layer's weights."""

    norm: Tensor
    attention_in: Linear
    attention_out: Linear
    norm_across: Tensor
    query_across: Linear
    read_across: Linear
    """Keys and values of the encoder's states."""
    out_across: Linear
    norm_after: Tensor
    wide: Linear
    out: Linear


@dataclass(frozen=True, slots=True, eq=False)
class T5:
    """A T5 without its layers, which adapters change."""

    embeddings: Tensor
    head: Tensor
    encoder_norm: Tensor
    decoder_norm: Tensor
    encoder_bias: Tensor
    """fp32 (buckets, heads). `decoder_bias` likewise."""
    decoder_bias: Tensor
    furthest: int
    """Distance from which on all share a bucket."""
    activation: Callable[[Tensor], Tensor]
    gated: bool
    scaled: bool
    """Whether states are scaled down before the output layer: where it is tied to the embeddings."""
    epsilon: float
    heads: int
    size: int
    start: int
    """Token that every output begins with."""

    def encode(self, layers: Sequence[T5EncoderLayer], ids: Tensor, lengths: Sequence[int]) -> Tensor:
        """States of inputs that lie one after the other: (tokens, width) of int64 (tokens,)."""
        x = functional.embedding(ids, self.embeddings)
        bias = {length: self._encoder_bias(length, x.dtype) for length in set(lengths)}
        for layer in layers:
            parts = layer.attention_in.split(self.normed(x, layer.norm))
            pieces = zip(lengths, *(torch.split(part, list(lengths)) for part in parts), strict=True)
            mixed = torch.cat([self._within(bias[length], *piece) for length, *piece in pieces])
            x = x + layer.attention_out(mixed)
            x = x + self.widened(layer, self.normed(x, layer.norm_after))
        return self.normed(x, self.encoder_norm)

    def decoder_mask(self, positions: Tensor, longest: int, dtype: torch.dtype) -> Tensor:
        """Bias by distance, minus infinity after each row's position: (rows, heads, 1, longest)."""
        distance = positions[:, None] - torch.arange(longest, device=positions.device)
        table = self._by_distance(self.decoder_bias, torch.arange(longest, device=positions.device), False)
        bias = functional.embedding(distance.clamp(min=0), table).permute(0, 2, 1)
        return bias.masked_fill(distance[:, None, :] < 0, float("-inf"))[:, :, None, :].to(dtype)

    def across(self, layer: T5DecoderLayer, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """What (rows, width) states of the decoder read of the encoder's: (rows, width)."""
        query = layer.query_across(self.normed(x, layer.norm_across)).view(-1, self.heads, self.size)
        return layer.out_across(attend_step(query, keys, values, mask, 1.0))

    def widened(self, layer: T5EncoderLayer | T5DecoderLayer, x: Tensor) -> Tensor:
        """The wide layer: (tokens, width) likewise."""
        wide = layer.wide.split(x)
        inner = self.activation(wide[0])
        return layer.out(inner * wide[1] if self.gated else inner)

    def logits(self, states: Tensor) -> Tensor:
        """fp32 (rows, vocabulary)."""
        if self.scaled:
            states = states * states.shape[-1] ** -0.5
        return functional.linear(states, self.head).float()

    def normed(self, x: Tensor, weight: Tensor) -> Tensor:
        """Divided by the root of the mean square: T5's norms subtract nothing."""
        return functional.rms_norm(x, weight.shape, weight, self.epsilon)

    def _within(self, bias: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention inside one input, block by block of its queries: (tokens, heads · size)."""
        length = len(query)
        query, key, value = (
            part.view(length, self.heads, self.size).transpose(0, 1)[None] for part in (query, key, value)
        )
        found = []
        for low in range(0, length, _BLOCK):
            high = min(low + _BLOCK, length)
            # Row q of the bias is what lies length - 1 - q further on in the table of distances.
            rows = bias.unfold(1, length, 1)[:, length - high : length - low].flip(1)
            mixed = functional.scaled_dot_product_attention(
                query[:, :, low:high], key, value, attn_mask=rows[None], scale=1.0
            )
            found.append(mixed[0].transpose(0, 1).flatten(1))
        return torch.cat(found) if len(found) > 1 else found[0]

    def _encoder_bias(self, length: int, dtype: torch.dtype) -> Tensor:
        """(heads, 2 · length - 1): of the distances from -(length - 1) to length - 1."""
        distance = torch.arange(1 - length, length, device=self.encoder_bias.device)
        return self._by_distance(self.encoder_bias, distance, True).t().contiguous().to(dtype)

    def _by_distance(self, table: Tensor, distance: Tensor, both_ways: bool) -> Tensor:
        """(distances, heads). Both ways: of memory less query; else of query less memory, never negative."""
        return functional.embedding(buckets(distance, len(table), self.furthest, both_ways), table)


def buckets(distance: Tensor, count: int, furthest: int, both_ways: bool) -> Tensor:
    """T5's buckets of int64 distances: exact near by, logarithmic further away."""
    found = torch.zeros_like(distance)
    if both_ways:
        count //= 2
        found = (distance > 0).long() * count
        distance = distance.abs()
    exact = count // 2
    share = torch.log(distance.clamp(min=1).float() / exact) / math.log(furthest / exact)
    far = (exact + (share * (count - exact)).long()).clamp(max=count - 1)
    return found + torch.where(distance < exact, distance, far)


def take_t5(
    model: Any, weights: Weights
) -> tuple[T5, tuple[T5EncoderLayer, ...], tuple[T5DecoderLayer, ...]]:
    """A loaded T5ForConditionalGeneration's weights, taken from `weights`."""
    config = model.config
    names = ("wi_0", "wi_1") if config.is_gated_act else ("wi",)
    body = T5(
        embeddings=weights.keep("shared.weight"),
        head=weights.take("lm_head.weight"),
        encoder_norm=weights.take("encoder.final_layer_norm.weight"),
        decoder_norm=weights.take("decoder.final_layer_norm.weight"),
        encoder_bias=weights.take(_BIAS.format("encoder")).float(),
        decoder_bias=weights.take(_BIAS.format("decoder")).float(),
        furthest=config.relative_attention_max_distance,
        activation=_activation(config.dense_act_fn),
        gated=config.is_gated_act,
        scaled=config.scale_decoder_outputs,
        epsilon=config.layer_norm_epsilon,
        heads=config.num_heads,
        size=config.d_kv,
        start=config.decoder_start_token_id,
    )
    encoder = tuple(
        T5EncoderLayer(**_self_part(weights, f"encoder.block.{number}.layer."), **_wide_part(weights, f"encoder.block.{number}.layer.1.", names))
        for number in range(config.num_layers)
    )  # fmt: skip
    decoder = tuple(
        T5DecoderLayer(
            **_self_part(weights, f"decoder.block.{number}.layer."),
            **_across_part(weights, f"decoder.block.{number}.layer.1."),
            **_wide_part(weights, f"decoder.block.{number}.layer.2.", names),
        )
        for number in range(config.num_decoder_layers)
    )
    return body, encoder, decoder


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    """transformers writes the tanh form of GELU out in eight operations; PyTorch has it as one."""
    if name == "gelu_new":
        return partial(functional.gelu, approximate="tanh")
    found: Callable[[Tensor], Tensor] = ACT2FN[name]
    return found


_BIAS = "{}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"


def _self_part(weights: Weights, at: str) -> dict[str, Any]:
    inside = (f"{at}0.SelfAttention.{part}" for part in "qkv")
    return {
        "norm": weights.take(f"{at}0.layer_norm.weight"),
        "attention_in": weights.linear(*inside),
        "attention_out": weights.linear(f"{at}0.SelfAttention.o"),
    }


def _across_part(weights: Weights, at: str) -> dict[str, Any]:
    return {
        "norm_across": weights.take(f"{at}layer_norm.weight"),
        "query_across": weights.linear(f"{at}EncDecAttention.q"),
        "read_across": weights.linear(f"{at}EncDecAttention.k", f"{at}EncDecAttention.v"),
        "out_across": weights.linear(f"{at}EncDecAttention.o"),
    }


def _wide_part(weights: Weights, at: str, names: Sequence[str]) -> dict[str, Any]:
    return {
        "norm_after": weights.take(f"{at}layer_norm.weight"),
        "wide": weights.linear(*(f"{at}DenseReluDense.{name}" for name in names)),
        "out": weights.linear(f"{at}DenseReluDense.wo"),
    }
