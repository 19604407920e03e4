"""Two-layer Llama, GPT-J and T5 models with a word tokenizer, and generative training folders, made on the spot. Synthetic data."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars

WORDS = [
    *[
        "the",
        "court",
        "held",
        "that",
        "a",
        "claim",
        "of",
        "right",
        "must",
        "be",
        "heard",
        "before",
        "it",
        "is",
        "dismissed",
        "by",
        "any",
        "judge",
        "who",
        "sits",
        "alone",
    ],
    *[
        "appellant",
        "respondent",
        "contract",
        "damages",
        "breach",
        "duty",
        "care",
        "notice",
        "statute",
        "section",
        "appeal",
        "order",
        "costs",
    ],
    *[
        "shall",
        "may",
        "was",
        "were",
        "not",
        "and",
        "or",
        "but",
        "if",
        "then",
        "where",
        "under",
        "against",
        "between",
        "allowed",
        "refused",
        "granted",
    ],
]
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")


def tiny_words() -> Any:
    """A tokenizer over WORDS; what it does not know is <unk>."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS, ".", ":"]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def make_decoder(folder: Path, family: str = "llama", seed: int = 0) -> Path:
    """Save a randomly initialised two-layer model (hidden 32, windows of 64 tokens) of the family llama, gptj or t5."""
    import torch
    from transformers import (
        GPTJConfig,
        GPTJForCausalLM,
        LlamaConfig,
        LlamaForCausalLM,
        T5Config,
        T5ForConditionalGeneration,
    )

    tokenizer = tiny_words()
    size = len(tokenizer)
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    if family == "llama":
        model = LlamaForCausalLM(LlamaConfig(vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, **ids))  # fmt: skip
    elif family == "gptj":
        model = GPTJForCausalLM(GPTJConfig(vocab_size=size, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=64, tie_word_embeddings=False, **ids))  # fmt: skip
    else:
        model = T5ForConditionalGeneration(T5Config(vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
            feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0, pad_token_id=0, eos_token_id=3))  # fmt: skip
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def judgments(count: int, seed: int = 0, words: tuple[int, int] = (20, 90)) -> list[str]:
    """Synthetic judgments: sentences whose words follow each other with habits that can be learned."""
    draw = random.Random(seed)
    habits = {word: draw.sample(WORDS, 3) for word in WORDS}
    found = []
    for _ in range(count):
        word = draw.choice(WORDS)
        said = [word]
        for _ in range(draw.randint(*words)):
            word = draw.choice(habits[word])
            said.append(word)
        found.append(" ".join(said))
    return found


def write_generative_folder(
    folder: Path,
    base: Path,
    texts: Sequence[str],
    summaries: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    **request: Any,
) -> Path:
    """A training folder as `models.generative.run.train` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "task": "causal" if summaries is None else "summarize",
        "base_model": str(base),
        "catalog": {"allowed_dirs": [str(base.parent)]},
        "device": "cpu",
        "dtype": "float32",
        **request,
    }
    (folder / "request.json").write_text(json.dumps(document))
    columns = {"key": [f"text-{row}" for row in range(len(texts))], "content": list(texts), "group": list(groups or [None] * len(texts))}  # fmt: skip
    if summaries is not None:
        columns["summary"] = list(summaries)
    polars.DataFrame(columns, schema=dict.fromkeys(columns, polars.String)).write_ipc(folder / "texts.arrow")
    return folder
