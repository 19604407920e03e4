"""Clusters of texts for strata: TF-IDF, its first singular directions (LSA), k-means; fitted on a training part alone.

Held-out texts are only placed: words, weights, directions and centres never depend on them. One thread and one seed, so
that the same texts give the same clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.cluster import MiniBatchKMeans
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

from models.data.sampling import Rows

MOST_TERMS = 20_000
"""Terms used: the most frequent ones of the training part."""
LEAST_TEXTS = 2
"""A term counts when so many texts of the training part have it."""
MOST_SHARE = 0.5
"""Terms in a larger share of them say nothing of what a text is about."""
DIMENSIONS = 50
FEWEST, MOST = 2, 20
"""Bounds of the number of clusters where it is not given."""
TOP_TERMS = 8
_PER_CLUSTER = 50
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Clusters:
    """A division of texts by their words. Cluster 0 is the largest of the training part."""

    of: NDArray[np.int32]
    """int32 (texts): of all texts, held out or not."""
    points: NDArray[np.float32]
    """float32 (texts, dimensions): rows of length 1, or 0 for a text without any known word."""
    top_columns: tuple[tuple[int, ...], ...]
    """Columns of the vocabulary that weigh most in each cluster's mean."""
    terms: int
    """Terms used."""

    @property
    def count(self) -> int:
        """Clusters there are."""
        return len(self.top_columns)

    def top_terms(self, vocabulary: Sequence[str]) -> list[list[str]]:
        """The words of each cluster. They quote texts."""
        return [[vocabulary[column] for column in columns] for columns in self.top_columns]


def auto_clusters(texts: int) -> int:
    """Number of clusters for so many texts: the root of one per fifty, 2 … 20."""
    return int(np.clip(round((texts / _PER_CLUSTER) ** 0.5), FEWEST, MOST))


def count_words(texts: Sequence[str]) -> tuple[tuple[str, ...], csr_matrix]:
    """Lower-cased words of two characters or more, and their counts, float32 sparse (texts, words)."""
    counter = CountVectorizer(dtype=np.float32)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no word at all
        return (), csr_matrix((len(texts), 0), dtype=np.float32)
    return tuple(counter.get_feature_names_out().tolist()), csr_matrix(counts)


def fit_clusters(counts: csr_matrix, fit_rows: Rows, clusters: int | None, seed: int) -> Clusters:
    """Fit clusters on some rows and place all of them.

    Args:
        counts: float32 sparse (texts, vocabulary). A vocabulary that holds out-of-part terms changes nothing: only terms
            of the training part are used.
        fit_rows: the training part, at least one row.
        clusters: how many; None: `auto_clusters`. Fewer where the part has fewer distinct texts.
        seed: of directions and centres.
    """
    with threadpool_limits(1):
        terms, weighted = _tfidf(counts, fit_rows)
        wanted = auto_clusters(len(fit_rows)) if clusters is None else clusters
        dimensions = min(DIMENSIONS, len(terms), len(fit_rows))
        if dimensions < 1:
            return Clusters(
                np.zeros(counts.shape[0], np.int32), np.zeros((counts.shape[0], 1), np.float32), ((),), 0
            )
        _, _, directions = randomized_svd(weighted[fit_rows], dimensions, n_iter=4, random_state=seed)
        points = normalize(weighted @ directions.T).astype(np.float32)
        placed = _k_means(points, fit_rows, wanted, seed)
    return Clusters(placed, points, _top_columns(weighted, terms, placed, fit_rows), len(terms))


def _tfidf(counts: csr_matrix, rows: Rows) -> tuple[NDArray[np.int64], csr_matrix]:
    """Columns used and TF-IDF of all texts, rows of length 1; terms and weights come from `rows` alone."""
    part = csr_matrix(counts[rows])
    texts_with = np.bincount(part.indices, minlength=part.shape[1])
    usable = np.flatnonzero((texts_with >= LEAST_TEXTS) & (texts_with <= MOST_SHARE * len(rows)))
    columns = np.sort(usable[np.argsort(-texts_with[usable], kind="stable")[:MOST_TERMS]])
    weights = (np.log((1 + len(rows)) / (1 + texts_with[columns])) + 1).astype(np.float32)
    used = csr_matrix(counts[:, columns], dtype=np.float32, copy=True)
    if not len(columns):
        return columns.astype(np.int64), used
    used.data = (1 + np.log(used.data)) * weights[used.indices]
    return columns.astype(np.int64), csr_matrix(normalize(used, copy=False))


def _k_means(points: NDArray[np.float32], rows: Rows, clusters: int, seed: int) -> NDArray[np.int32]:
    """The cluster of every point, numbered by falling size in the training part: int32 (texts)."""
    part = points[rows]
    distinct = len(np.unique(part.round(5), axis=0))
    model = MiniBatchKMeans(
        n_clusters=max(1, min(clusters, distinct)), batch_size=_BATCH, n_init=3, random_state=seed
    ).fit(part)
    placed = model.predict(points)
    sizes = np.bincount(placed[rows], minlength=model.n_clusters)
    order = np.argsort(-sizes, kind="stable")
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return np.asarray(number[placed])


def _top_columns(
    weighted: csr_matrix, columns: NDArray[np.int64], placed: NDArray[np.int32], rows: Rows
) -> tuple[tuple[int, ...], ...]:
    """Columns whose mean TF-IDF in a cluster's training texts exceeds that in all of them most."""
    count = int(placed.max()) + 1
    shape = (count, len(rows))
    member = csr_matrix((np.ones(len(rows), np.float32), (placed[rows], np.arange(len(rows)))), shape)
    sums = (member @ weighted[rows]).toarray()
    sizes = np.bincount(placed[rows], minlength=count)
    means = sums / np.maximum(sizes, 1)[:, None]
    above = means - sums.sum(axis=0) / len(rows)
    # A single cluster is no more of anything than the whole: then the heaviest terms.
    ranked = np.argsort(-(above if count > 1 else means), axis=1, kind="stable")[:, :TOP_TERMS]
    return tuple(
        tuple(int(columns[place]) for place in best if mean[place] > 0)
        for best, mean in zip(ranked, means, strict=True)
    )
