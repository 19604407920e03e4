"""Leave one sentence out: the text is read again without each of its sentences."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text.explain_model import Explained, Matrix, read_logits, window_sums
from models.text.sentences import split_sentences

MOST_SENTENCES = 200
"""Sentences, or runs of them, that are left out at most."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What every sentence (or run of sentences) changes. Positive speaks for the option."""

    sentences: tuple[tuple[int, int], ...]
    """Characters of each."""
    sentences_in_text: int
    delta_logit: NDArray[np.float64]
    """float64 (sentences, options): logit of the text less that of the text without the sentence."""
    delta_probability: NDArray[np.float64]
    """The same for calibrated probabilities."""


def leave_out(who: Explained, text: str, logits: Matrix, tokens: int) -> LeftOut:
    """Read a text without each of its sentences.

    Args:
        who: the reader.
        text: any.
        logits: float32 (options), of the whole text as the adapter serves it.
        tokens: that may be read; where all sentences would take more, neighbouring ones are left out together.
    """
    found = split_sentences(text)
    length = int(who.adapter.tokenize([text]).tokens)
    runs = joined(found, max(1, min(MOST_SENTENCES, tokens // max(1, length))))
    without = [text[:start] + text[end:] for start, end in runs]
    windows = who.adapter.tokenize(without)
    read = read_logits(who, without, windows, window_sums(who, windows))
    apply = who.member.calibration.apply
    return LeftOut(
        tuple(runs),
        len(found),
        logits[None].astype(np.float64) - read,
        apply(logits[None]).astype(np.float64) - apply(read),
    )


def joined(sentences: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Sentences as they are, or where there are more than `most`, in so many runs of neighbours of about equal number."""
    if len(sentences) <= most:
        return list(sentences)
    bounds = np.linspace(0, len(sentences), most + 1).round().astype(int)
    return [(sentences[low][0], sentences[high - 1][1]) for low, high in itertools.pairwise(bounds)]
