"""An abstractive summary as asked for and as made: its length, what is refused, what is said about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from models.text.asking import Counted, Written
from models.text.extractive import Method
from models.text.long_documents import Strategy
from models.text.sentences import split_sentences
from models.text.words import count_words

WINDOW = 1024
"""Tokens read at once of a model that names no limit of its own."""
DEFAULT_TOKENS = 128
"""Longest summary where neither the caller nor the adapter says."""
LONGEST_SUMMARY = 4096
"""Tokens of a summary at most."""
UNKNOWN_SHARE = 0.05
_SLACK = 1.15
"""Tokens allowed beyond those that the words asked for should take, so that a sentence can end."""


class SummaryRefusedError(ValueError):
    """A text, or a length, that cannot be summarized so; `field` names what of the request is at fault."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a summary shall be made."""

    style: str = "document"
    strategy: Literal["auto"] | Strategy = "auto"
    salience: Method = "lexrank"
    """How sentences are chosen for `extract_then_abstract`."""
    max_words: int | None = None
    ratio: float | None = None
    most_tokens: int = DEFAULT_TOKENS
    """Of a summary where no length is asked for, and of a part's: an adapter's longest target."""
    window: int | None = None
    """Tokens to read at once, if fewer than the model's."""


@dataclass(slots=True)
class Abstract:
    """A summary, and how it came about."""

    text: str
    strategy: Strategy
    chunks: int
    """Parts that were summarized on their own; 1 where the text or its extract was read whole."""
    rounds: int
    """Times that parts' summaries were merged."""
    calls: int
    """Texts that the model was asked to summarize in all."""
    tokens_in_text: int
    window: int
    """Tokens that the model reads at once."""
    words: int
    words_in_text: int
    kept_sentences: int
    """Sentences of the text that the model was given; all of them but for an extract."""
    sentences_in_text: int
    warnings: list[str] = field(default_factory=list)


def asked_words(words: int, wishes: Wishes) -> int | None:
    """The longest summary asked for, in words; None where no length is."""
    return wishes.max_words if wishes.ratio is None else max(1, round(wishes.ratio * words))


def most_tokens(text: str, tokens: int, wishes: Wishes) -> int:
    """Tokens that a summary may have, by the tokens that the text's words take. SummaryRefusedError above LONGEST_SUMMARY."""
    words = count_words(text)
    asked = asked_words(words, wishes)
    if asked is None:
        return wishes.most_tokens
    most = max(8, math.ceil(min(asked, words) * tokens / max(1, words) * _SLACK) + 4)
    if most > LONGEST_SUMMARY:
        raise SummaryRefusedError(
            "summary-too-long", "max_words" if wishes.ratio is None else "ratio",
            f"A summary of that length has about {most:,} tokens, {LONGEST_SUMMARY:,} at most can be written: ask for a shorter one.",
        )  # fmt: skip
    return most


def finish(made: Abstract, written: Written, wishes: Wishes) -> None:
    """The text within the words asked for, without a last sentence that was cut off."""
    summary = written.text.replace("\0", "").strip()
    spans = split_sentences(summary)
    asked = asked_words(made.words_in_text, wishes)
    kept = len(spans)
    if written.cut and kept > 1:
        kept -= 1
        made.warnings.append("The summary reached its length inside a sentence, which was left out.")
    elif written.cut:
        made.warnings.append("The summary reached its length before its sentence ended.")
    while asked is not None and kept > 1 and count_words(summary[: spans[kept - 1][1]]) > asked:
        kept -= 1
    made.text = summary[: spans[kept - 1][1]] if spans else ""
    made.words = count_words(made.text)
    if not made.text:
        made.warnings.append("The model wrote nothing.")
    if asked is not None and made.words > asked:
        made.warnings.append(
            f"The summary's first sentence has {made.words:,} words; {asked:,} were asked for."
        )
    if asked is not None and asked >= made.words_in_text:
        made.warnings.append(
            f"The length asked for is not less than the text's own ({made.words_in_text:,} words)."
        )


def unread(unknown: int, pieces: int) -> str | None:
    """What is said of a text of so many pieces of which a model has no token for some; None where those are few."""
    if unknown <= UNKNOWN_SHARE * pieces:
        return None
    return f"The model knows no token for {unknown:,} of {pieces:,} pieces of the text (another script?): it cannot read them."


def reading_warnings(counted: Counted) -> list[str]:
    """What a model cannot read of a text by whose sentences these tokens are."""
    found = unread(sum(counted.unknown), sum(counted.counts))
    return [] if found is None else [f"{found} Its summary is of the rest."]
