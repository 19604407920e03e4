"""What `remand bench train` trains on: texts with labels, and base models that exist or are made up at a real one's size."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.catalog import DEFAULT, CatalogSettings, locate
from models.data.demo import OPTIONS, demo
from models.encoder.load import Encoder, load_encoder
from models.encoder.tokens import Windows, tokenize
from models.scheme import Labels, Option, Question, QuestionKind, Scheme

MAX_TOKENS = 256
GIVEN = {"id", "case", "split", "text"}
"""Columns of a data file that are no options."""
ROBERTA = "roberta-base-sized"
"""Random weights in RoBERTa-base's shape: how fast a model trains does not depend on what it has learned."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one run."""

    source: str
    contents: list[str]
    groups: list[str]
    labels: Labels
    """int8 (texts, options)."""
    options: list[str]

    @property
    def scheme(self) -> Scheme:
        """One yes_no_set question."""
        options = tuple(Option(key, place) for place, key in enumerate(self.options))
        return Scheme((Question("labels", QuestionKind.YES_NO_SET, options),))

    def cut(self, count: int) -> Texts:
        """The first so many."""
        return Texts(
            self.source, self.contents[:count], self.groups[:count], self.labels[:count], self.options
        )


def read_texts(path: Path | None, count: int, seed: int) -> Texts:
    """Rows of a CSV with a `text` column and one 0/1 column per option, drawn by seed; or synthetic letters."""
    if path is None:
        letters = [letter for letter, _ in demo(count, seed)]
        texts, groups = [letter.text for letter in letters], [letter.defendant for letter in letters]
        labels = [[int(value) for value in letter.truth] for letter in letters]
        return Texts("synthetic letters", texts, groups, np.array(labels, dtype=np.int8), list(OPTIONS))
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    options = [name for name in rows[0] if name not in GIVEN]
    drawn = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))[:count]]
    values = np.array([[int(row[option]) for option in options] for row in drawn], dtype=np.int8)
    return Texts(path.name, [row["text"] for row in drawn], [row.get("case", row["id"]) for row in drawn], values, options)  # fmt: skip


def windows_of(encoder: Encoder, texts: Texts) -> Windows:
    """One window per text, cut at MAX_TOKENS, as the Trainer beside it reads them."""
    return tokenize(encoder, texts.contents, MAX_TOKENS, 1)


def base_model(name: str, texts: Texts, folder: Path, device: str) -> Encoder:
    """A catalog model or ROBERTA; the latter's words are those of the texts."""
    if name != ROBERTA:
        allowed = (str(Path(name).parent),) if name != DEFAULT else ()
        return load_encoder(locate(name, CatalogSettings(allowed, False, {})), device)
    place = folder / name
    if not place.exists():
        write_roberta(place, texts.contents)
    return load_encoder(place, device)


def write_roberta(folder: Path, texts: Sequence[str]) -> None:
    """A folder with random weights in RoBERTa-base's shape and a tokenizer that takes each word for a token."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    words = sorted({word for text in texts for word in text.split()})[:50_000]
    vocabulary = {word: place for place, word in enumerate([*special, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names: dict[str, Any] = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}  # fmt: skip
    torch.manual_seed(0)
    config = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, pad_token_id=1, bos_token_id=0, eos_token_id=2)  # fmt: skip
    RobertaModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)  # type: ignore[no-untyped-call]


def flops_per_token(encoder: Encoder, forward_only: int, trained: int, rank: int, length: float) -> float:
    """Multiply-adds, counted twice, that a token needs: frozen layers forwards, trained ones forwards and backwards.

    Backwards a frozen weight costs one product (the slope of its input), LoRA's two matrices three each; attention costs
    twice its forward.

    Args:
        encoder: the base model.
        forward_only: layers below the trained ones that are run.
        trained: layers with LoRA.
        rank: of LoRA.
        length: mean length, weighted by tokens.
    """
    layer = encoder.layers[0]
    shapes = [value.shape for value in layer.parameters() if value.ndim == 2]
    linear = 2.0 * sum(rows * columns for rows, columns in shapes)
    lora = 2.0 * rank * sum(rows + columns for rows, columns in shapes)
    attention = 4.0 * length * encoder.hidden_size
    return forward_only * (linear + attention) + trained * (2 * linear + 3 * lora + 3 * attention)
