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
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
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
    """Save a randomly initialised two-layer encoder (hidden 32, 4 heads, windows of 64 tokens) and its tokenizer."""
    tokenizer = tiny_tokenizer()
    size = len(tokenizer)
    torch.manual_seed(seed)
    if family == "distilbert":
        config = DistilBertConfig(vocab_size=size, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=64, pad_token_id=0)  # fmt: skip
        model = DistilBertModel(config)
    else:
        config_class, model_class = {
            "bert": (BertConfig, BertModel),
            "roberta": (RobertaConfig, RobertaModel),
        }[family]
        config = config_class(
            vocab_size=size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=66 if family == "roberta" else 64, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        )  # fmt: skip
        model = model_class(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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
