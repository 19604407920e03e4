"""Models that write with random weights in the shapes that are benchmarked, and the prompts and lengths that all are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.generative.blocks import Ids

FAMILIES = ("t5", "gptj", "llama")
_SIZES: dict[tuple[str, str], dict[str, int]] = {
    ("t5", "full"): {"d_model": 768, "d_ff": 2048, "layers": 12, "heads": 12, "vocabulary": 32128},
    ("gptj", "full"): {"width": 4096, "layers": 28, "heads": 16, "vocabulary": 50400},
    ("llama", "full"): {"width": 4096, "inner": 11008, "layers": 32, "heads": 32, "vocabulary": 32000},
    ("t5", "small"): {"d_model": 512, "d_ff": 1024, "layers": 8, "heads": 6, "vocabulary": 32128},
    ("gptj", "small"): {"width": 512, "layers": 6, "heads": 8, "vocabulary": 50400},
    ("llama", "small"): {"width": 512, "inner": 1376, "layers": 8, "heads": 8, "vocabulary": 32000},
    ("t5", "tiny"): {"d_model": 64, "d_ff": 128, "layers": 2, "heads": 4, "vocabulary": 500},
    ("gptj", "tiny"): {"width": 64, "layers": 2, "heads": 4, "vocabulary": 500},
    ("llama", "tiny"): {"width": 64, "inner": 128, "layers": 2, "heads": 4, "vocabulary": 500},
}
"""full: FLAN-T5-base, GPT-J-6B, Llama-2-7B; small: FLAN-T5-small, and decoders of its size."""
_POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for: the same prompts and lengths for everyone."""

    prompts: list[Ids]
    mosts: list[int]
    """Tokens to write after each: that is where its text ends."""

    @property
    def tokens(self) -> int:
        """To be written in all."""
        return sum(self.mosts)


def config_of(family: str, shape: str) -> Any:
    """The transformers configuration; nothing ends a text but its length."""
    from transformers import GPTJConfig, LlamaConfig, T5Config

    size = _SIZES[family, shape]
    if family == "t5":
        return T5Config(
            vocab_size=size["vocabulary"], d_model=size["d_model"], d_kv=64, d_ff=size["d_ff"], num_layers=size["layers"],
            num_heads=size["heads"], feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
            pad_token_id=0, eos_token_id=None,
        )  # fmt: skip
    if family == "gptj":
        return GPTJConfig(
            vocab_size=size["vocabulary"], n_embd=size["width"], n_layer=size["layers"], n_head=size["heads"], n_positions=_POSITIONS,
            rotary_dim=min(64, size["width"] // size["heads"]), bos_token_id=0, eos_token_id=None, pad_token_id=0, tie_word_embeddings=False,
        )  # fmt: skip
    return LlamaConfig(
        vocab_size=size["vocabulary"], hidden_size=size["width"], intermediate_size=size["inner"], num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"], max_position_embeddings=_POSITIONS, bos_token_id=0, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip


def random_writer(family: str, shape: str, device: torch.device, dtype: torch.dtype) -> Any:
    """The model, made on the device itself, with the same weights every time."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    kind = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    with device:
        model = kind.from_config(config_of(family, shape), dtype=dtype)
    model = model.to(device).eval()
    if family == "t5":
        # T5's own start is so small that it says one token for ever: spread what it says.
        with torch.no_grad():
            model.lm_head.weight.normal_(0, 0.5)
    return model


def load_of(family: str, shape: str, count: int, prompt: tuple[int, int], written: tuple[int, int]) -> Load:
    """Prompts of random tokens, their lengths and what is to be written after each drawn evenly from two ranges."""
    draw = np.random.default_rng(0)
    size = _SIZES[family, shape]["vocabulary"]
    lengths = draw.integers(prompt[0], prompt[1] + 1, count)
    prompts = [draw.integers(1, size, length).astype(np.int32) for length in lengths]
    return Load(prompts, draw.integers(written[0], written[1] + 1, count).tolist())
