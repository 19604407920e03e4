"""Extractive summaries: sentences that stand for the whole, verbatim, within a length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.text.centrality import lexrank, textrank
from models.text.sentences import split_sentences
from models.text.words import count_words, terms

__all__ = [
    "METHODS",
    "Budget",
    "Method",
    "Unit",
    "lead",
    "mmr",
    "most_central",
    "split_sentences",
    "summarize",
]

Method = Literal["mmr", "textrank", "lexrank", "lead"]
METHODS: tuple[Method, ...] = get_args(Method)

TRADE_OFF = 0.7
"""Weight of relevance against novelty."""


class Unit(StrEnum):
    """What a summary's length is counted in."""

    WORDS = "words"
    SENTENCES = "sentences"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True)
class Budget:
    """The longest a summary may be: so many words or sentences, or a share (0 to 1) of the text's words."""

    unit: Unit
    amount: float

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError(
                f"the length of a summary must be above 0, not {self.amount:g} {self.unit.value}"
            )
        if self.unit is Unit.RATIO and self.amount > 1:
            raise ValueError(f"a summary's ratio lies between 0 and 1, not {self.amount:g}")

    def limits(self, words: Sequence[int]) -> tuple[int, int]:
        """The most words and the most sentences of a text whose sentences have these word counts."""
        if self.unit is Unit.SENTENCES:
            return sum(words), max(int(self.amount), 1)
        if self.unit is Unit.WORDS:
            return int(self.amount), len(words)
        return round(self.amount * sum(words)), len(words)


def mmr(
    embeddings: NDArray[np.floating],
    order: Sequence[int],
    words: Sequence[int],
    budget: Budget,
    trade_off: float = TRADE_OFF,
) -> list[int]:
    """Sentences chosen by maximal marginal relevance (Carbonell and Goldstein 1998), in document order.

    Relevance is the cosine to the mean of all sentences, weighted by their length; redundancy the highest cosine to a
    sentence already chosen. A sentence that no longer fits the budget is passed over. When none fits at all, the
    shortest one is taken, so that a text with a sentence never has an empty summary.

    Args:
        embeddings: float (sentences, dim), not necessarily of unit length.
        order: place of each sentence in the document; breaks ties, and the answer is sorted by it.
        words: words of each sentence.
        budget: how long the summary may be.
        trade_off: 1 looks at relevance alone, 0 at novelty alone.

    Returns:
        Indices into `embeddings`, in document order.
    """
    if not len(embeddings):
        return []
    unit = _unit_length(np.asarray(embeddings, dtype=np.float64))
    counts = np.asarray(words, dtype=np.int64)
    centre = _unit_length((unit * np.maximum(counts, 1)[:, None]).sum(axis=0, keepdims=True))[0]
    relevance = unit @ centre
    most_words, most_sentences = budget.limits(words)
    redundancy = np.full(len(unit), -1.0)
    places = np.asarray(order)
    free = np.ones(len(unit), dtype=np.bool_)
    chosen: list[int] = []
    while len(chosen) < most_sentences:
        fits = np.flatnonzero(free & (counts <= most_words))
        if not len(fits):
            break
        repeated = redundancy[fits] if chosen else 0.0
        gain = trade_off * relevance[fits] - (1 - trade_off) * repeated
        best = int(fits[np.lexsort((places[fits], -gain))[0]])
        chosen.append(best)
        free[best] = False
        most_words -= int(counts[best])
        redundancy = np.maximum(redundancy, unit @ unit[best])
    return sorted(chosen or [int(np.lexsort((places, counts))[0])], key=lambda index: places[index])


def lead(words: Sequence[int], budget: Budget) -> list[int]:
    """The first sentences that fit the budget, at least one: the baseline every summary is held against."""
    most_words, most_sentences = budget.limits(words)
    totals = np.cumsum(words)
    fitting = int(np.searchsorted(totals, most_words, side="right"))
    return list(range(min(max(fitting, 1), most_sentences, len(words))))


def most_central(scores: NDArray[np.float64], words: Sequence[int], budget: Budget) -> list[int]:
    """The sentences of highest score that fit the budget, at least one (then the shortest), in document order.

    Args:
        scores: float64 (sentences); of equal ones the earlier sentence goes first.
        words: words of each sentence.
        budget: how long the summary may be; a sentence that no longer fits is passed over.
    """
    left, most = budget.limits(words)
    chosen: list[int] = []
    for place in np.argsort(-scores, kind="stable").tolist():
        if len(chosen) < most and words[place] <= left:
            chosen.append(place)
            left -= words[place]
    return sorted(chosen) or [int(np.argmin(words))] if len(words) else []


def summarize(
    sentences: Sequence[str],
    budget: Budget,
    method: Method = "mmr",
    *,
    embeddings: NDArray[np.floating] | None = None,
    trade_off: float = TRADE_OFF,
) -> list[int]:
    """Indices of the sentences that summarize a text, in document order.

    Args:
        sentences: of one text, in order.
        budget: how long the summary may be.
        method: `mmr` by embeddings, `textrank` and `lexrank` by words, `lead`: the first ones.
        embeddings: float (sentences, dim), for `mmr`.
        trade_off: relevance against novelty, for `mmr`.

    Raises:
        ValueError: there are not as many embeddings as sentences.
    """
    words = [count_words(sentence) for sentence in sentences]
    if method == "lead" or len(sentences) < 2:
        return lead(words, budget) if sentences else []
    if method == "mmr":
        found = 0 if embeddings is None else len(embeddings)
        if embeddings is None or found != len(sentences):
            raise ValueError(f"{len(sentences)} sentences need as many embeddings, not {found}")
        return mmr(embeddings, range(len(sentences)), words, budget, trade_off)
    central = textrank if method == "textrank" else lexrank
    return most_central(central([terms(sentence) for sentence in sentences]), words, budget)


def _unit_length(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
