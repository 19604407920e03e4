"""What making a summary asks of models, as values: a summary is made by a generator that yields these and is sent the answers.

So the same steps serve a request and a job, and tests need no model. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Answer: `Counted`, by the model's own tokenizer, special tokens included."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of texts."""

    counts: tuple[int, ...]
    longest_input: int | None
    """Tokens that the model reads at most; None: not bounded."""
    unknown: tuple[int, ...] = ()
    """Tokens of each text that the model has no piece for; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Write:
    """Answer: a list of `Written`, one per prompt."""

    prompts: tuple[str, ...]
    most_tokens: tuple[int, ...]
    """Per prompt."""
    stage: str
    """What is being written, as progress tells it."""
    last: bool = False
    """Whether it is the summary itself, which may be told as it is written."""


@dataclass(frozen=True, slots=True)
class Written:
    """Text after a prompt."""

    text: str
    tokens: int
    cut: bool
    """Whether it ended because no more tokens were allowed."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Answer: float (texts, dimensions), or None where the embedder is not to be had."""

    texts: tuple[str, ...]


Ask = CountTokens | Write | Embed
T = TypeVar("T")
Steps = Generator[Ask, Any, T]
"""Yields what is asked, is sent the answer, returns what came out."""
