"""How far a summary's sentences are supported by a source: shared words in a stretch of it, and sentence embeddings where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text.words import terms

WINDOW = 3
"""Sentences of the source in a row that a sentence of the summary may draw on."""
CANDIDATES = 32
"""Sentences of the source that a sentence of the summary is compared with by embeddings: those that share most words with it."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the words of one sentence of a summary say."""

    share: float
    """Share of its terms (stems without stop words) that stand in the best stretch of WINDOW sentences; 1 without terms, 0 where the source has no sentence."""
    place: int
    """First sentence of that stretch."""
    candidates: tuple[int, ...]
    """Sentences of the source that share most terms with it, best first."""


def overlaps(summary: Sequence[str], source: Sequence[str]) -> list[Overlap]:
    """The overlap of each sentence of a summary with the sentences of a source."""
    asked = [sorted(set(terms(sentence))) for sentence in summary]
    column = {term: place for place, term in enumerate(sorted({term for found in asked for term in found}))}
    present = _present(source, column)
    return [_overlap([column[term] for term in found], present) for found in asked]


def _present(source: Sequence[str], column: dict[str, int]) -> NDArray[np.bool_]:
    """bool (sentences, terms of the summary)."""
    present = np.zeros((len(source), len(column)), dtype=np.bool_)
    for row, sentence in enumerate(source):
        for term in terms(sentence):
            if term in column:
                present[row, column[term]] = True
    return present


def _overlap(columns: Sequence[int], present: NDArray[np.bool_]) -> Overlap:
    rows = len(present)
    if not columns or not rows:
        return Overlap(float(rows > 0 and not columns), 0, tuple(range(min(rows, CANDIDATES))))
    own = present[:, columns]
    window = own.copy()
    for step in range(1, min(WINDOW, rows)):
        window[:-step] |= own[step:]
    shares = window.sum(axis=1) / len(columns)
    best = np.argsort(-own.sum(axis=1), kind="stable")[:CANDIDATES]
    place = int(np.argmax(shares))
    return Overlap(float(shares[place]), place, tuple(best.tolist()))


def similarities(
    summary: NDArray[np.floating], source: NDArray[np.floating], candidates: Sequence[Sequence[int]]
) -> list[tuple[float, int]]:
    """The highest cosine of each sentence of a summary with its candidates, and whose it is.

    Args:
        summary: float (sentences, dimensions).
        source: float (candidates of all, dimensions), in the order of `wanted(candidates)`; NaN rows could not be read.
        candidates: per sentence of the summary.
    """
    row_of = {place: row for row, place in enumerate(wanted(candidates))}
    first, second = _unit(summary), _unit(source)
    found = []
    for vector, places in zip(first, candidates, strict=True):
        rows = [row_of[place] for place in places]
        cosines = second[rows] @ vector if rows else np.zeros(0)
        best = int(np.argmax(cosines)) if rows else -1
        found.append((float(cosines[best]), places[best]) if rows else (0.0, 0))
    return found


def wanted(candidates: Sequence[Sequence[int]]) -> list[int]:
    """The sentences of the source that have to be embedded, each once, in order."""
    return sorted({place for places in candidates for place in places})


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    plain = np.nan_to_num(np.asarray(vectors, dtype=np.float64))
    length = np.linalg.norm(plain, axis=1, keepdims=True)
    return np.asarray(plain / np.where(length > 0, length, 1.0))
