"""A generative model's words without its weights: how prompts become tokens, how many it reads, which tokens end a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.catalog import GENERATIVE_FAMILIES, family_of
from models.generative.blocks import Ids
from models.generative.decode.writing import TAIL

LONGEST_INPUT = 16_384
"""Tokens of an input of a T5 that has no adapter: its positions are relative, memory is not."""
_BLOCK = 2048


class NotGenerativeError(ValueError):
    """A model that writes no text, or not for this purpose; the message says which do."""

    code = "base-model-unsuitable"


@dataclass(frozen=True, slots=True, eq=False)
class Wording:
    """Tokenizer and limits of one model."""

    tokenizer: Any
    family: str
    task: str
    """`causal` or `summarize`."""
    ends: tuple[int, ...]
    longest_input: int
    """Tokens of a prompt at most."""
    longest: int | None
    """Tokens of a prompt and what follows it together; None where only each is bounded."""
    block: int
    """Tokens of a window of perplexity."""
    start: int | None = None
    """Token that every text of an encoder-decoder begins with."""

    def ids(self, prompt: str) -> Ids:
        """int32 token ids of a prompt as training made them: with the begin mark of a Llama, or the end mark of a T5."""
        (found,) = self.tokenizer([prompt], add_special_tokens=False, verbose=False)["input_ids"]
        return np.array([*self._begin, *found, *self._end], dtype=np.int32)

    def document(self, text: str) -> Ids:
        """int32 token ids of a whole document, its end mark included: what perplexity is of."""
        end = self.tokenizer.eos_token_id
        return np.array([*self.ids(text), *([] if end is None else [end])], dtype=np.int32)

    def tail(self, ids: Ids) -> tuple[int, ...]:
        """The tokens that are decoded again before a continuation."""
        return tuple(ids[-TAIL:].tolist()) if self.task == "causal" else ()

    @property
    def unknown(self) -> int:
        """Token of what the tokenizer has no piece for; -1 where it has none such."""
        found = self.tokenizer.unk_token_id
        return -1 if found is None else int(found)

    @property
    def _begin(self) -> list[int]:
        begin = self.tokenizer.bos_token_id
        return [begin] if self.family == "llama" and begin is not None else []

    @property
    def _end(self) -> list[int]:
        end = self.tokenizer.eos_token_id
        return [end] if self.task == "summarize" and end is not None else []


def task_of(family: str, name: str) -> str:
    """The task of a model family; NotGenerativeError where it has none."""
    for task, families in GENERATIVE_FAMILIES.items():
        if family in families:
            return task
    fitting = ", ".join(family for families in GENERATIVE_FAMILIES.values() for family in families)
    raise NotGenerativeError(
        f"{name!r} is a {family or 'nameless'} model, which writes no text; models of these families do: {fitting}"
    )


def read_wording(folder: Path, name: str, reading: Mapping[str, Any] | None = None) -> Wording:
    """From a base model's folder.

    Args:
        folder: with config.json and a tokenizer.
        name: of the base model, for messages.
        reading: an adapter's, from its manifest.

    Raises:
        NotGenerativeError: it writes no text, or has no tokenizer that can be read.
    """
    from transformers import AutoTokenizer

    family = family_of(folder)
    task = task_of(family, name)
    reading = reading or {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise NotGenerativeError(f"{name!r} has no tokenizer that can be read: {error}") from error
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    window = None
    if task == "causal":
        window = int(config.get("max_position_embeddings") or config.get("n_positions") or _BLOCK)
    longest_input = int(reading.get("max_input_tokens", LONGEST_INPUT)) if window is None else window - 1
    block = int(reading.get("block_tokens") or min(_BLOCK, window or _BLOCK))
    start = config.get("decoder_start_token_id") if task == "summarize" else None
    return Wording(
        tokenizer, family, task, _ends(folder, config, tokenizer), longest_input, window, block, start
    )


def _ends(folder: Path, config: Mapping[str, Any], tokenizer: Any) -> tuple[int, ...]:
    """End marks: those of the model's generation settings, else of its configuration, and the tokenizer's, which training ends texts with."""
    settings = folder / "generation_config.json"
    noted = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
    found = noted.get("eos_token_id", config.get("eos_token_id"))
    listed = found if isinstance(found, list) else [found]
    return tuple(sorted({int(end) for end in (*listed, tokenizer.eos_token_id) if end is not None}))
