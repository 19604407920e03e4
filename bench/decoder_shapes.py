"""Decoders with random weights in the shapes that are benchmarked, and what a token of training costs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Shape:
    """Layers, width, width of the MLP, heads, vocabulary, and how many tokens are read at once."""

    layers: int
    hidden: int
    inner: int
    heads: int
    vocabulary: int
    sequence: int


SHAPES: dict[tuple[str, str], Shape] = {
    ("llama", "full"): Shape(32, 4096, 11008, 32, 32000, 2048),
    ("gptj", "full"): Shape(28, 4096, 16384, 16, 50400, 2048),
    ("llama", "small"): Shape(4, 256, 688, 4, 8000, 512),
    ("gptj", "small"): Shape(4, 256, 1024, 4, 8000, 512),
    ("llama", "tiny"): Shape(2, 64, 128, 4, 500, 128),
    ("gptj", "tiny"): Shape(2, 64, 128, 4, 500, 128),
}
"""full: Llama-2-7B and GPT-J-6B."""


def config_of(family: str, shape: Shape) -> Any:
    """The transformers configuration."""
    from transformers import GPTJConfig, LlamaConfig

    if family == "llama":
        return LlamaConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.hidden, intermediate_size=shape.inner,
            num_hidden_layers=shape.layers, num_attention_heads=shape.heads, max_position_embeddings=4096,
        )  # fmt: skip
    return GPTJConfig(
        vocab_size=shape.vocabulary, n_embd=shape.hidden, n_inner=shape.inner, n_layer=shape.layers, n_head=shape.heads,
        n_positions=2048, rotary_dim=min(64, shape.hidden // shape.heads), bos_token_id=0, eos_token_id=0, tie_word_embeddings=False,
    )  # fmt: skip


def random_model(
    family: str,
    shape: Shape,
    device: torch.device,
    dtype: torch.dtype,
    seed: int = 0,
    attention: str | None = None,
) -> nn.Module:
    """The model made on the device itself, with weights that the seed gives; `attention` None is transformers' choice."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    chosen = {} if attention is None else {"attn_implementation": attention}
    with device:
        model: nn.Module = AutoModelForCausalLM.from_config(config_of(family, shape), dtype=dtype, **chosen)
    return model.to(device).eval()


def flops_per_token(shape: Shape, family: str) -> float:
    """Floating-point operations that LoRA training needs per token: forward and the gradient of the activations.

    4 for every weight that multiplies (frozen weights need no gradient of their own) and attention's two products, both
    ways, over half the sequence on average. LoRA's own and recomputed activations are not counted.
    """
    mlp = (3 if family == "llama" else 2) * shape.hidden * shape.inner
    weights = shape.layers * (4 * shape.hidden**2 + mlp) + shape.hidden * shape.vocabulary
    attention = shape.layers * 2 * shape.hidden * shape.sequence / 2
    return 4.0 * weights + 2 * 3 * attention
