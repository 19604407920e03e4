"""Extractive summaries as the worker makes them: split, embed on the engine, choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.text.extractive import summarize
from models.text.sentences import split_sentences
from workers.inference.wire import SummarizeRequest

MOST_SENTENCES = 5_000


class TooManySentencesError(ValueError):
    """A text of more sentences than one request may ask to compare."""


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Character offsets of the sentences; TooManySentencesError above MOST_SENTENCES."""
    found = split_sentences(text)
    if len(found) > MOST_SENTENCES:
        raise TooManySentencesError(
            f"the text has {len(found):,} sentences, {MOST_SENTENCES:,} can be summarized at once: send it in parts"
        )
    return found


def choose_sentences(
    asked: SummarizeRequest, sentences: Sequence[tuple[int, int]], embeddings: NDArray[np.float32]
) -> list[int]:
    """Places of the chosen sentences, in document order.

    Args:
        asked: method, budget and trade-off.
        sentences: character offsets.
        embeddings: float32 (sentences, dimensions); looked at by "mmr" alone. A sentence that could not be read is NaN and
            counts as unlike all others.
    """
    texts = [asked.text[start:end] for start, end in sentences]
    return summarize(
        texts, asked.budget, asked.method, embeddings=np.nan_to_num(embeddings), trade_off=asked.trade_off
    )
