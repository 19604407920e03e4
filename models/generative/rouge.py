"""ROUGE of summaries (rouge-score, Lin 2004): -1, -2, -L and -Lsum with Porter stemming, and an interval by pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.generative.perplexity import drawn_documents
from models.text.sentences import split_sentences
from models.text.words import tokens

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
"""The measures of `rouge_scores`, in the order of its columns."""


def rouge_scores(references: Sequence[str], written: Sequence[str]) -> NDArray[np.float64]:
    """F1 of each pair: float64 (pairs, ROUGE), in [0, 1]. For Lsum every sentence stands on a line of its own."""
    return rouge_of_lines([_lines(text) for text in references], [_lines(text) for text in written])


def rouge_of_lines(references: Sequence[str], written: Sequence[str]) -> NDArray[np.float64]:
    """As `rouge_scores`, of texts whose sentences are on lines of their own already."""
    found = np.zeros((len(references), len(ROUGE)))
    for row, (reference, text) in enumerate(zip(references, written, strict=True)):
        scored = _scorer().score(reference, text)
        found[row] = [scored[measure].fmeasure for measure in ROUGE]
    return found


def rouge_l(references: Sequence[str], generated: Sequence[str]) -> list[float]:
    """ROUGE-L F1 of each pair, with Porter stemming, in [0, 1]."""
    found: list[float] = rouge_scores(references, generated)[:, ROUGE.index("rougeL")].tolist()
    return found


def rouge_document(scores: Sequence[float], seed: int) -> dict[str, Any]:
    """Mean, 95 % interval by a bootstrap over pairs, and the number of pairs."""
    values = np.asarray(scores)
    spread = values[drawn_documents(len(values), seed)].mean(axis=1)
    low, high = np.quantile(spread, (0.025, 0.975))
    return {
        "rouge_l": round(float(values.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "pairs": len(values),
    }


def _lines(text: str) -> str:
    return "\n".join(text[start:end] for start, end in split_sentences(text))


class _Tokenizer:
    """rouge-score's own tokens of Latin text; of other scripts, which it drops, words (and Chinese characters)."""

    def __init__(self) -> None:
        from rouge_score.tokenizers import DefaultTokenizer

        self._latin = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        letters = [character for character in text if character.isalpha()]
        if sum(map(str.isascii, letters)) * 2 >= len(letters):
            found: list[str] = self._latin.tokenize(text)
            return found
        return tokens(text)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(ROUGE), tokenizer=_Tokenizer())
