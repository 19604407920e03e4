"""The wide branch: TF-IDF logits over 1-2-grams. Words matter in law, and small encoders miss them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

NGRAMS = (1, 2)


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
    """Counts of lower-cased words of two characters or more and of their pairs; with a vocabulary, of these terms only."""
    return CountVectorizer(
        ngram_range=NGRAMS, dtype=np.float32, vocabulary=None if vocabulary is None else list(vocabulary)
    )


def count_terms(texts: Sequence[str], vocabulary: Sequence[str]) -> csr_matrix:
    """Term counts, float32 sparse (texts, vocabulary)."""
    if not len(vocabulary):
        return csr_matrix((len(texts), 0), dtype=np.float32)
    return csr_matrix(vectorizer(vocabulary).transform(texts))


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
