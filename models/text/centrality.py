"""Sentences ranked by how central they are among all of a text's: TextRank and LexRank, by words alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

DAMPING = 0.85
"""Share of the walk that follows similarity; the rest jumps anywhere (Brin and Page 1998)."""
LEAST_COSINE = 0.1
"""LexRank's threshold: sentences less alike are not linked (Erkan and Radev 2004)."""
_TOLERANCE = 1e-6
_MOST_STEPS = 200


def textrank(sentences: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Centrality by shared terms over the logarithms of both lengths (Mihalcea and Tarau 2004).

    Args:
        sentences: the terms of each sentence (`models.text.words.terms`).

    Returns:
        float64 (sentences), together 1; equal where no two sentences share a term.
    """
    present = _counts(sentences)
    present.data[:] = 1.0
    shared = (present @ present.T).toarray().astype(np.float32)
    lengths = np.log(np.maximum(np.asarray([len(terms) for terms in sentences], dtype=np.float32), 1.0))
    both = lengths[:, None] + lengths[None, :]
    # Two sentences of one term each: log 1 + log 1 = 0; they are alike or not.
    return _walk(np.divide(shared, both, out=np.minimum(shared, 1.0), where=both > 0))


def lexrank(sentences: Sequence[Sequence[str]], least: float = LEAST_COSINE) -> NDArray[np.float64]:
    """Centrality by the cosine of term counts times inverse document frequency, continuous above a threshold (Erkan and Radev 2004).

    Args:
        sentences: the terms of each sentence.
        least: cosine below which sentences are not linked.

    Returns:
        float64 (sentences), together 1; equal where no two sentences are linked.
    """
    counts = _counts(sentences)
    containing = np.bincount(counts.indices, minlength=counts.shape[1])
    weighted = counts * np.log(len(sentences) / np.maximum(containing, 1))[None, :]
    length = np.sqrt((weighted * weighted).sum(axis=1))
    unit = csr_array(weighted / np.where(length > 0, length, 1.0)[:, None])
    cosine = (unit @ unit.T).toarray().astype(np.float32)
    cosine[cosine < least] = 0.0
    return _walk(cosine)


def _counts(sentences: Sequence[Sequence[str]]) -> Any:
    """Sparse float64 (sentences, distinct terms): how often each occurs."""
    places: dict[str, int] = {}
    columns = [places.setdefault(term, len(places)) for terms in sentences for term in terms]
    rows = np.repeat(np.arange(len(sentences)), [len(terms) for terms in sentences])
    shape = (len(sentences), max(len(places), 1))
    return csr_array((np.ones(len(columns)), (rows, np.asarray(columns, dtype=np.int64))), shape=shape)


def _walk(similar: NDArray[np.float32]) -> NDArray[np.float64]:
    """Stationary probabilities of a walk along similarities, by powers; a sentence like no other jumps anywhere."""
    sentences = len(similar)
    np.fill_diagonal(similar, 0.0)
    leaving = similar.sum(axis=1, dtype=np.float64)
    alone = leaving == 0
    similar /= np.where(alone, 1.0, leaving).astype(np.float32)[:, None]
    at: NDArray[np.float64] = np.full(sentences, 1 / sentences)
    for _ in range(_MOST_STEPS):
        moved = (at.astype(np.float32) @ similar).astype(np.float64) + at[alone].sum() / sentences
        reached: NDArray[np.float64] = (1 - DAMPING) / sentences + DAMPING * moved
        reached /= reached.sum()
        if np.abs(reached - at).sum() < _TOLERANCE:
            return reached
        at = reached
    return at
