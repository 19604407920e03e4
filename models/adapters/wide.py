"""The wide branch: TF-IDF logits over 1-2-grams. Words matter in law, and small encoders miss them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from models.data.context import EMPTY, Context, Contexts

NGRAMS = (1, 2)
TOKENS = r"(?u)\w+|[^\w\s]"
"""What counts as a word: letters and digits, also single ones, and each sign: citations and numbering are words too."""
SECTIONS = tuple(field.name for field in fields(Context))
"""Parts of a context."""
MARK = "\t"
"""Stands between a part's name and a term of it. No term of a text has one."""


@dataclass(frozen=True, slots=True)
class Wide:
    """A fitted wide branch: one linear model per option on TF-IDF."""

    columns: NDArray[np.int32]
    """int32 (terms): the columns of the shared vocabulary that it uses."""
    idf: NDArray[np.float32]
    """float32 (terms)."""
    weights: NDArray[np.float32]
    """float32 (terms, options)."""
    bias: NDArray[np.float32]
    """float32 (options)."""

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """Arrays as saved in wide.safetensors."""
        return {"columns": self.columns, "idf": self.idf, "weights": self.weights, "bias": self.bias}

    @staticmethod
    def from_tensors(arrays: Mapping[str, NDArray[np.generic]]) -> Wide:
        """Inverse of `to_tensors`."""
        return Wide(
            arrays["columns"].astype(np.int32),
            arrays["idf"].astype(np.float32),
            arrays["weights"].astype(np.float32),
            arrays["bias"].astype(np.float32),
        )


def vectorizer(vocabulary: Sequence[str] | None = None) -> CountVectorizer:
    """Counts of lower-cased words, signs and their pairs; with a vocabulary, of these terms only."""
    return CountVectorizer(
        ngram_range=NGRAMS, dtype=np.float32, token_pattern=TOKENS,
        vocabulary=None if vocabulary is None else list(vocabulary),
    )  # fmt: skip


def section_vectorizer(section: str, vocabulary: Sequence[str] | None = None) -> CountVectorizer:
    """The same of one part of texts' contexts: its terms begin with the part's name, so that they are terms of their own."""
    plain = vectorizer().build_analyzer()

    def terms(words: str) -> list[str]:
        return [f"{section}{MARK}{term}" for term in plain(words)]

    return CountVectorizer(
        analyzer=terms, dtype=np.float32, vocabulary=None if vocabulary is None else list(vocabulary)
    )


def context_terms(vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    """Which terms of a vocabulary belong to contexts: bool (terms)."""
    return np.fromiter((MARK in term for term in vocabulary), dtype=np.bool_, count=len(vocabulary))


@dataclass(frozen=True, slots=True)
class TermCounter:
    """Counts the terms of a vocabulary in texts and in their contexts. Made once, used for many requests."""

    words: CountVectorizer
    sections: Mapping[str, CountVectorizer]
    """Per part of a context; empty where the vocabulary has no term of contexts."""

    def count(self, texts: Sequence[str], contexts: Contexts = None) -> csr_matrix:
        """Term counts, float32 sparse (texts, vocabulary); a missing context has no terms."""
        counts = csr_matrix(self.words.transform(texts))
        if contexts is None:
            return counts
        for section, counter in self.sections.items():
            counts = counts + counter.transform([getattr(context or EMPTY, section) for context in contexts])
        return csr_matrix(counts)


def term_counter(vocabulary: Sequence[str]) -> TermCounter:
    """A counter with its table of terms built."""
    reads_context = bool(context_terms(vocabulary).any())
    counter = TermCounter(
        vectorizer(vocabulary),
        {name: section_vectorizer(name, vocabulary) for name in SECTIONS} if reads_context else {},
    )
    counter.count([""], [EMPTY])  # builds the tables now, not with the first request
    return counter


def count_terms(
    texts: Sequence[str], vocabulary: Sequence[str], contexts: Sequence[Context] | None = None
) -> csr_matrix:
    """Term counts, float32 sparse (texts, vocabulary). For many requests on one vocabulary use `term_counter`."""
    if not len(vocabulary):
        return csr_matrix((len(texts), 0), dtype=np.float32)
    return term_counter(vocabulary).count(texts, contexts)


def tfidf(counts: csr_matrix, columns: NDArray[np.int32], idf: NDArray[np.float32]) -> csr_matrix:
    """TF-IDF rows of length 1: (1 + log count) · idf over the given columns of the vocabulary."""
    used = csr_matrix(counts[:, columns], dtype=np.float32, copy=True)
    if not len(columns):  # no term that enough texts share, in a handful of them: the bias alone speaks
        return used
    used.data = (1 + np.log(used.data)) * idf[used.indices]
    return csr_matrix(normalize(used, copy=False))


def wide_logits(wide: Wide, counts: csr_matrix) -> NDArray[np.float32]:
    """Logits of the wide branch: float32 (texts, options)."""
    logits: NDArray[np.float32] = tfidf(counts, wide.columns, wide.idf) @ wide.weights + wide.bias
    return logits.astype(np.float32)
