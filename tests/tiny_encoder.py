"""Two-layer encoders of the supported families and small training folders, made on the spot for tests. Synthetic data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    T5Config,
    T5ForConditionalGeneration,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from models.scheme import Option, Question, QuestionKind, Scheme

WORDS = [
    "remorse",
    "sorry",
    "regret",
    "child",
    "family",
    "kids",
    "illness",
    "doctor",
    "pain",
    "work",
    "job",
    "boss",
    "court",
    "judge",
    "letter",
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "was",
    "my",
    "he",
    "she",
    "they",
    "we",
    "very",
    "never",
    "always",
    "please",
    "mercy",
    "time",
    "year",
    "day",
    "plea",
    "case",
]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
SIGNALS = {"remorse": ("remorse", "sorry", "regret"), "family": ("child", "family", "kids"), "health": ("illness", "doctor", "pain")}  # fmt: skip


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer over WORDS and single letters."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = [*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters), ".", ",", "-"]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def make_encoder(folder: Path, family: str = "bert", seed: int = 0) -> Path:
    """Save a randomly initialised two-layer model of a family (hidden 32, 4 heads, windows of 64 tokens) and its tokenizer."""
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    model = _MODELS[family](len(tokenizer))
    if family in _UNMARKED:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=_UNMARKED[family], special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


_UNMARKED = {"llama": "[CLS] $A", "gptj": "$A", "t5": "$A [SEP]"}
"""Families whose tokenizers put a mark only before, nowhere, or only after a text."""
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
_MARKS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}


def _bert(size: int) -> BertModel:
    return BertModel(BertConfig(vocab_size=size, max_position_embeddings=64, **_SIZES, **_MARKS))


def _roberta(size: int) -> RobertaModel:
    return RobertaModel(RobertaConfig(vocab_size=size, max_position_embeddings=66, **_SIZES, **_MARKS))


def _xlm_roberta(size: int) -> XLMRobertaModel:
    return XLMRobertaModel(XLMRobertaConfig(vocab_size=size, max_position_embeddings=66, **_SIZES, **_MARKS))


def _distilbert(size: int) -> DistilBertModel:
    return DistilBertModel(DistilBertConfig(
        vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64, pad_token_id=0,
    ))  # fmt: skip


def _modernbert(size: int) -> ModernBertModel:
    """One layer sees everything, the other four tokens to each side."""
    return ModernBertModel(ModernBertConfig(
        vocab_size=size, max_position_embeddings=64, local_attention=8, global_attn_every_n_layers=2,
        cls_token_id=2, sep_token_id=3, **_SIZES, **_MARKS,
    ))  # fmt: skip


def _llama(size: int) -> LlamaForCausalLM:
    """With a language-model head and fewer key heads than query heads, as checkpoints come."""
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=size, num_key_value_heads=2, max_position_embeddings=64, **_SIZES, **{**_MARKS, "pad_token_id": None},
    ))  # fmt: skip


def _gptj(size: int) -> GPTJForCausalLM:
    return GPTJForCausalLM(GPTJConfig(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_inner=64, n_positions=64, rotary_dim=4, bos_token_id=2, eos_token_id=3,
    ))  # fmt: skip


def _t5(size: int) -> T5ForConditionalGeneration:
    """FLAN-T5's kind: gated, encoder and decoder."""
    return T5ForConditionalGeneration(T5Config(
        vocab_size=size, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=1, num_heads=4,
        relative_attention_num_buckets=8, relative_attention_max_distance=16, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, pad_token_id=0, eos_token_id=3, decoder_start_token_id=0,
    ))  # fmt: skip


_MODELS = {
    "bert": _bert, "roberta": _roberta, "xlm-roberta": _xlm_roberta, "distilbert": _distilbert,
    "modernbert": _modernbert, "llama": _llama, "gptj": _gptj, "t5": _t5,
}  # fmt: skip
TINY_FAMILIES = tuple(_MODELS)
"""Every family that `make_encoder` makes: all that can be trained."""


def synthetic_letters(rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Letters in which an option is yes where one of its words occurs: texts, int8 (rows, 3)."""
    draw = random.Random(seed)
    plain = [word for word in WORDS if not any(word in words for words in SIGNALS.values())]
    texts, labels = [], np.zeros((rows, len(SIGNALS)), dtype=np.int8)
    for row in range(rows):
        words = draw.choices(plain, k=draw.randint(5, 20))
        for option, signals in enumerate(SIGNALS.values()):
            if draw.random() < 0.4:
                words.insert(draw.randrange(len(words)), draw.choice(signals))
                labels[row, option] = 1
        texts.append(" ".join(words))
    return texts, labels


def arguments_scheme() -> Scheme:
    """One yes_no_set question over the SIGNALS."""
    options = tuple(Option(key, place) for place, key in enumerate(SIGNALS))
    return Scheme((Question("arguments", QuestionKind.YES_NO_SET, options),))


def write_training_folder(
    folder: Path,
    base: Path,
    texts: list[str],
    labels: np.ndarray,
    scheme: Scheme | None = None,
    groups: list[str | None] | None = None,
    **request: Any,
) -> Path:
    """A training folder as `models.training.run.train` reads it; by default rows come in groups of four."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "scheme": (scheme or arguments_scheme()).to_document(),
        "base_model": str(base),
        "catalog": {"allowed_dirs": [str(base.parent)]},
        "device": "cpu",
        **request,
    }
    (folder / "request.json").write_text(json.dumps(document))
    given = groups if groups is not None else [f"case-{row // 4}" for row in range(len(texts))]
    polars.DataFrame({
        "key": [f"text-{row}" for row in range(len(texts))],
        "content": texts,
        "group": given,
        "split": [None] * len(texts),
    }, schema=dict.fromkeys(("key", "content", "group", "split"), polars.String)).write_ipc(folder / "texts.arrow")  # fmt: skip
    np.save(folder / "labels.npy", labels)
    return folder
