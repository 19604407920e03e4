"""The wide branch: TF-IDF logits over 1-2-grams. Words matter in law, and small encoders miss them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

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
    """int32 (terms), ascending: the columns of the shared vocabulary that it uses."""
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
        order = np.argsort(arrays["columns"], kind="stable")
        return Wide(
            arrays["columns"].astype(np.int32)[order],
            arrays["idf"].astype(np.float32)[order],
            arrays["weights"].astype(np.float32)[order],
            arrays["bias"].astype(np.float32),
        )


def vectorizer() -> CountVectorizer:
    """Counts of lower-cased words, signs and their pairs: what a vocabulary is made with."""
    return CountVectorizer(ngram_range=NGRAMS, dtype=np.float32, token_pattern=TOKENS)


def section_vectorizer(section: str) -> CountVectorizer:
    """The same of one part of texts' contexts: its terms begin with the part's name, so that they are terms of their own."""
    plain = vectorizer().build_analyzer()

    def terms(words: str) -> list[str]:
        return [f"{section}{MARK}{term}" for term in plain(words)]

    return CountVectorizer(analyzer=terms, dtype=np.float32)


def context_terms(vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    """Which terms of a vocabulary belong to contexts: bool (terms)."""
    return np.fromiter((MARK in term for term in vocabulary), dtype=np.bool_, count=len(vocabulary))


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of texts, or of one part of contexts, by the numbers of their words: words and pairs are looked up, none is put together."""

    words: Mapping[str, int]
    """A number for each word of any term."""
    single: NDArray[np.int64]
    """int64 (words + 1): the term that a word is by itself, -1 where it is none; the last is for all other words."""
    pairs: NDArray[np.int64]
    """int64 (pairs), ascending: the terms of two words, as first · (words + 1) + second."""
    pair_terms: NDArray[np.int64]
    """int64 (pairs): which terms they are."""

    def occurrences(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every occurrence of a term: its text and its place in the vocabulary, int64 each."""
        split = [_WORDS.findall(text.lower()) for text in texts]
        lengths = np.fromiter(map(len, split), np.int64, len(split))
        numbered = map(self.words.get, chain.from_iterable(split), repeat(len(self.words)))
        words = np.fromiter(numbered, np.int64, int(lengths.sum()))
        rows = np.repeat(np.arange(len(split)), lengths)
        keys = words[:-1] * (len(self.words) + 1) + words[1:]
        places = np.searchsorted(self.pairs, keys)
        places[places == len(self.pairs)] = 0
        pairs = (
            np.flatnonzero((self.pairs[places] == keys) & (rows[:-1] == rows[1:]))
            if len(self.pairs)
            else places[:0]
        )
        terms = self.single[words]
        single = np.flatnonzero(terms >= 0)
        return (
            np.concatenate([rows[single], rows[pairs]]),
            np.concatenate([terms[single], self.pair_terms[places[pairs]]]),
        )


_WORDS = re.compile(TOKENS)


def numbered_terms(places: Mapping[str, int]) -> Terms:
    """Terms by the numbers of their words.

    Args:
        places: per term, its words with a space between them, the place in the vocabulary.
    """
    split = [tuple(term.split(" ", 1)) for term in places]
    words = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(split)))}
    single = np.full(len(words) + 1, -1, dtype=np.int64)
    keys, terms = [], []
    for found, place in zip(split, places.values(), strict=True):
        if len(found) == 1:
            single[words[found[0]]] = place
        else:
            keys.append(words[found[0]] * (len(words) + 1) + words[found[1]])
            terms.append(place)
    order = np.argsort(np.array(keys, dtype=np.int64))
    return Terms(words, single, np.array(keys, dtype=np.int64)[order], np.array(terms, dtype=np.int64)[order])


@dataclass(frozen=True, slots=True)
class TermCounter:
    """Counts the terms of a vocabulary in texts and in their contexts. Made once, used for many requests."""

    size: int
    """Terms of the vocabulary."""
    texts: Terms
    sections: Mapping[str, Terms]
    """Per part of a context; empty where the vocabulary has no term of contexts."""

    def count(self, texts: Sequence[str], contexts: Contexts = None) -> csr_matrix:
        """Term counts, float32 sparse (texts, vocabulary), in order of the terms; a missing context has no terms."""
        found = [self.texts.occurrences(texts)]
        if contexts is not None:
            found += [
                terms.occurrences([getattr(context or EMPTY, section) for context in contexts])
                for section, terms in self.sections.items()
            ]
        cells = np.concatenate([rows * self.size + terms for rows, terms in found])
        cells, counts = np.unique(cells, return_counts=True)
        rows, terms = np.divmod(cells, self.size)
        bounds = np.searchsorted(rows, np.arange(len(texts) + 1))
        given = (counts.astype(np.float32), terms.astype(np.int32), bounds.astype(np.int32))
        return csr_matrix(given, shape=(len(texts), self.size))


def term_counter(vocabulary: Sequence[str]) -> TermCounter:
    """A counter for a vocabulary; ValueError where a term is in it twice."""
    if len(set(vocabulary)) < len(vocabulary):
        raise ValueError("the vocabulary of the wide branch has a term twice")
    places: dict[str, dict[str, int]] = {"": {}}
    for place, term in enumerate(vocabulary):
        section, _, words = term.rpartition(MARK)
        places.setdefault(section, {})[words] = place
    sections = {name: numbered_terms(places[name]) for name in SECTIONS if name in places}
    return TermCounter(len(vocabulary), numbered_terms(places[""]), sections)


def count_terms(
    texts: Sequence[str], vocabulary: Sequence[str], contexts: Sequence[Context] | None = None
) -> csr_matrix:
    """Term counts, float32 sparse (texts, vocabulary). For many requests on one vocabulary use `term_counter`."""
    if not len(vocabulary):
        return csr_matrix((len(texts), 0), dtype=np.float32)
    return term_counter(vocabulary).count(texts, contexts)


def tfidf(counts: csr_matrix, columns: NDArray[np.int32], idf: NDArray[np.float32]) -> csr_matrix:
    """TF-IDF rows of length 1: (1 + log count) · idf over the given columns of the vocabulary.

    Args:
        counts: float32 sparse (texts, vocabulary), in order of the terms.
        columns: int32 (terms), ascending.
        idf: float32 (terms).
    """
    if not len(columns):  # no term that enough texts share, in a handful of them: the bias alone speaks
        return csr_matrix((counts.shape[0], 0), dtype=np.float32)
    places = np.minimum(np.searchsorted(columns, counts.indices), len(columns) - 1)
    used = columns[places] == counts.indices
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[used]
    places = places[used]
    values = (1 + np.log(counts.data[used])) * idf[places]
    lengths = np.sqrt(np.bincount(rows, values * values, counts.shape[0]))  # added up in float64
    values = (values / lengths[rows]).astype(np.float32)
    bounds = np.searchsorted(rows, np.arange(counts.shape[0] + 1)).astype(np.int32)
    return csr_matrix((values, places.astype(np.int32), bounds), shape=(counts.shape[0], len(columns)))


def wide_logits(wide: Wide, counts: csr_matrix) -> NDArray[np.float32]:
    """Logits of the wide branch: float32 (texts, options)."""
    logits: NDArray[np.float32] = tfidf(counts, wide.columns, wide.idf) @ wide.weights + wide.bias
    return logits.astype(np.float32)
