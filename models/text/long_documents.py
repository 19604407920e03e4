"""Texts longer than a model reads: what is chosen, how it is cut at sentences, and how long each part's summary may be. Pure; linear memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from models.text.centrality import lexrank, textrank
from models.text.extractive import Budget, Method, Unit, lead, mmr, most_central
from models.text.words import terms

Strategy = Literal["whole", "extract_then_abstract", "chunk_and_merge"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

EXTRACTED_WINDOWS = 8
"""Up to so many windows long a text is extracted first; an extract of a longer one would leave out too much of it."""
BLOCK = 1000
"""Sentences that are compared with each other at once: the square of it is held in memory."""
AIMED_PART = 64
"""Tokens of a part's summary on average, at least: where that is more than can be read at once, summaries are merged in turn."""
SHORTEST_PART = 24
"""Tokens of a part's summary at least."""
LEAST_WINDOW = 64
"""Tokens of text that a model has to read for long texts to be summarized by it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A sentence of a text, or a part of one too long to be read at once: `text[start:end]`."""

    start: int
    end: int
    tokens: int


def strategy_of(tokens: int, window: int) -> Strategy:
    """The strategy for a text of so many tokens, where the model reads `window`."""
    if tokens <= window:
        return "whole"
    return "extract_then_abstract" if tokens <= EXTRACTED_WINDOWS * window else "chunk_and_merge"


def cut_spans(
    text: str, spans: Sequence[tuple[int, int]], counts: Sequence[int], most: int
) -> list[tuple[int, int]]:
    """Sentences, those of more than `most` tokens cut at white space (anywhere, where there is none) into parts that should have fewer.

    Tokens of the parts have to be counted again; cutting again ends at parts of one character.
    """
    found: list[tuple[int, int]] = []
    for (start, end), count in zip(spans, counts, strict=True):
        if count <= most or end - start < 2:
            found.append((start, end))
        else:
            found.extend(_parts(text, start, end, max(1, int(0.8 * (end - start) * most / count))))
    return found


def _parts(text: str, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    while end - start > size:
        space = max(
            text.rfind(" ", start + size // 2, start + size),
            text.rfind("\n", start + size // 2, start + size),
        )
        stop = space + 1 if space > start else start + size
        yield start, stop
        start = stop
    yield start, end


def chunks_of(pieces: Sequence[Piece], most: int) -> list[tuple[int, int]]:
    """Runs of pieces (first, end) of at most `most` tokens, of about equal length. Each piece has at most `most` tokens."""
    total = sum(piece.tokens for piece in pieces)
    target = total / max(1, math.ceil(total / most))
    found: list[tuple[int, int]] = []
    first = tokens = 0
    for place, piece in enumerate(pieces):
        full = tokens + piece.tokens > most or (tokens + piece.tokens / 2 > target)
        if full and place > first:
            found.append((first, place))
            first, tokens = place, 0
        tokens += piece.tokens
    return [*found, (first, len(pieces))] if pieces else []


def salience(sentences: Sequence[str]) -> NDArray[np.float64]:
    """How much of what a text keeps speaking of each sentence holds: cosine to the centroid of all (Radev et al. 2004), by TF-IDF.

    Returns:
        float64 (sentences), at least 0; memory grows with the text, not with its square.
    """
    counted = [Counter(terms(sentence)) for sentence in sentences]
    containing = Counter(term for found in counted for term in found)
    idf = {term: math.log(1 + len(sentences) / number) for term, number in containing.items()}
    centroid: Counter[str] = Counter()
    for found in counted:
        for term, number in found.items():
            centroid[term] += number * idf[term]  # type: ignore[assignment]
    length = math.sqrt(sum(value * value for value in centroid.values())) or 1.0
    return np.array([_cosine(found, idf, centroid, length) for found in counted], dtype=np.float64)


def _cosine(found: Counter[str], idf: dict[str, float], centroid: Counter[str], length: float) -> float:
    own = math.sqrt(sum((number * idf[term]) ** 2 for term, number in found.items()))
    if own == 0:
        return 0.0
    return sum(number * idf[term] * centroid[term] for term, number in found.items()) / (own * length)


def part_budgets(weights: Sequence[float], total: int, most: int) -> list[int]:
    """Tokens that each part's summary may have: `total` shared out by salience, from SHORTEST_PART to `most`, in steps of 8.

    Steps, so that parts that may be equally long are written together.
    """
    whole = sum(weights) or float(len(weights))
    shares = [(weight if sum(weights) else 1.0) / whole for weight in weights]
    return [max(SHORTEST_PART, min(most, round(share * total / 8) * 8)) for share in shares]


def extracted(
    sentences: Sequence[str],
    tokens: Sequence[int],
    most: int,
    method: Method,
    embeddings: NDArray[np.floating] | None,
) -> list[int]:
    """Places of the sentences that stand for a text in at most `most` tokens, in order; none is taken that does not fit.

    Texts of more than BLOCK sentences are extracted a block at a time, each within its share of the tokens.

    Args:
        sentences: of one text.
        tokens: of each.
        most: all together.
        method: how they are chosen.
        embeddings: float (sentences, dimensions), for `mmr`.
    """
    found: list[int] = []
    whole = max(1, sum(tokens))
    for start in range(0, len(sentences), BLOCK):
        part = slice(start, start + BLOCK)
        share = most if len(sentences) <= BLOCK else int(most * sum(tokens[part]) / whole)
        vectors = None if embeddings is None else embeddings[part]
        found += [start + place for place in _chosen(sentences[part], tokens[part], share, method, vectors)]
    return found


def _chosen(
    sentences: Sequence[str],
    tokens: Sequence[int],
    most: int,
    method: Method,
    embeddings: NDArray[np.floating] | None,
) -> list[int]:
    fitting = [place for place, count in enumerate(tokens) if count <= most]
    if not fitting or most < 1:
        return []
    kept, costs = [sentences[place] for place in fitting], [tokens[place] for place in fitting]
    budget = Budget(Unit.WORDS, most)
    if method == "lead" or len(kept) < 2:
        chosen = lead(costs, budget)
    elif method == "mmr" and embeddings is not None:
        chosen = mmr(np.nan_to_num(embeddings[fitting]), range(len(kept)), costs, budget)
    else:
        central = textrank if method == "textrank" else lexrank
        chosen = most_central(central([terms(sentence) for sentence in kept]), costs, budget)
    return [fitting[place] for place in chosen]
