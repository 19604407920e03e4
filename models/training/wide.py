"""Fitting the wide branch: TF-IDF + balanced logistic regression, and its crossed logits for training beside the encoder.

The same fit is the TF-IDF baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from models.adapters.wide import (
    NGRAMS,
    SECTIONS,
    TOKENS,
    Wide,
    section_vectorizer,
    tfidf,
    vectorizer,
    wide_logits,
)
from models.data.context import Context
from models.data.folds import TooFewGroupsError, assign_folds
from models.encoder.batches import Rows
from models.scheme import MISSING, YES, Labels

LEAST_TEXTS = 2
"""A term counts when it occurs in so many texts of the training part."""
MOST_TERMS = 150_000
"""Of these, the most frequent ones in the training part."""
CROSSED_PARTS = 4
STRENGTHS = (1.0, 10.0)
"""Inverse penalties to choose from (scikit-learn's C)."""
_EDGE = 6.0
"""Logit of an option that a training part has only yes or only no of."""


@dataclass(frozen=True, slots=True)
class WideSettings:
    """How a wide branch is fitted."""

    strength: float = STRENGTHS[0]
    """Inverse penalty."""
    allowed: NDArray[np.bool_] | None = None
    """bool (vocabulary): terms that may be used; None: all."""


PLAIN = WideSettings()


def count_vocabulary(
    texts: Sequence[str], contexts: Sequence[Context] | None = None
) -> tuple[tuple[str, ...], csr_matrix]:
    """Terms and their counts, float32 sparse (texts, terms), counted once for all folds.

    What a fold's model uses of it is chosen and weighted on that fold's training part alone (`fit_wide`); only terms that
    no part could use are left out here.

    Args:
        texts: the texts.
        contexts: of each, where the branch may read them: their terms stand behind those of the texts.
    """
    found = [_counted(vectorizer(), texts)]
    if contexts is not None:
        found += [
            _counted(section_vectorizer(section), [getattr(context, section) for context in contexts])
            for section in SECTIONS
        ]
    terms = tuple(term for part, _ in found for term in part)
    return terms, csr_matrix(hstack([counts for _, counts in found], format="csr", dtype=np.float32))


def _counted(counter: CountVectorizer, texts: Sequence[str]) -> tuple[list[str], csr_matrix]:
    counter.set_params(min_df=min(LEAST_TEXTS, max(1, len(texts))))
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no term at all: empty texts
        return [], csr_matrix((len(texts), 0), dtype=np.float32)
    return counter.get_feature_names_out().tolist(), csr_matrix(counts)


def fit_wide(
    counts: csr_matrix, labels: Labels, rows: Rows, seed: int, settings: WideSettings = PLAIN
) -> Wide:
    """Fit terms, idf and one balanced logistic regression per option on `rows` alone.

    Args:
        counts: float32 sparse (all texts, vocabulary).
        labels: int8 (all texts, options).
        rows: the training part.
        seed: of the solver.
        settings: how strongly the data are followed, and which terms may be used.
    """
    part = csr_matrix(counts[rows])
    texts_with = np.bincount(part.indices, minlength=part.shape[1])
    usable = texts_with >= min(LEAST_TEXTS, max(1, len(rows)))
    if settings.allowed is not None:
        usable &= settings.allowed
    columns = _chosen_terms(part, usable)
    idf = (np.log((1 + len(rows)) / (1 + texts_with[columns])) + 1).astype(np.float32)
    features = tfidf(part, columns, idf)
    options = labels.shape[1]
    weights = np.zeros((len(columns), options), dtype=np.float32)
    bias = np.zeros(options, dtype=np.float32)
    for option in range(options):
        weights[:, option], bias[option] = _fit_option(
            features, labels[rows, option], settings.strength, seed
        )
    return Wide(columns, idf, weights, bias)


def crossed_logits(
    counts: csr_matrix, labels: Labels, rows: Rows, groups: Sequence[str], seed: int, settings: WideSettings = PLAIN
) -> NDArray[np.float32]:  # fmt: skip
    """Wide logits of a training part's own rows, each from a fit that saw neither the row nor its group.

    Logits of rows that were fitted on are far too sure; an encoder trained beside them would learn nothing.

    Args:
        counts: float32 sparse (all texts, vocabulary).
        labels: int8 (all texts, options).
        rows: the training part.
        groups: the group of each of `rows`.
        seed: draws the parts.
        settings: as for `fit_wide`.

    Returns:
        float32 (rows, options).
    """
    parts = crossing(groups, CROSSED_PARTS, seed)
    logits = np.zeros((len(rows), labels.shape[1]), dtype=np.float32)
    for part in np.unique(parts):
        inside = parts == part
        logits[inside] = wide_logits(
            fit_wide(counts, labels, rows[~inside], seed, settings), csr_matrix(counts[rows[inside]])
        )
    return logits


def crossing(groups: Sequence[str], parts: int, seed: int) -> NDArray[np.int32]:
    """Parts of a training part that share no group, int32 (rows); of single rows where there is one group alone."""
    try:
        return assign_folds(groups, min(parts, len(set(groups))), seed)
    except (TooFewGroupsError, ValueError):
        return (np.arange(len(groups)) % min(parts, max(2, len(groups)))).astype(np.int32)


def prune_vocabulary(terms: Sequence[str], members: Sequence[Wide]) -> tuple[tuple[str, ...], list[Wide]]:
    """Keep only the terms that some member uses; returns them and the members on the new columns."""
    used = (
        np.unique(np.concatenate([member.columns for member in members]))
        if members
        else np.zeros(0, np.int32)
    )
    moved = [
        replace(member, columns=np.searchsorted(used, member.columns).astype(np.int32)) for member in members
    ]
    return tuple(terms[int(column)] for column in used), moved


def wide_document(terms: Sequence[str]) -> dict[str, object]:
    """wide.json: the vocabulary that all members share, and how texts are read."""
    return {
        "ngrams": list(NGRAMS),
        "lowercase": True,
        "sublinear": True,
        "norm": "l2",
        "tokens": TOKENS,
        "terms": list(terms),
    }


def _chosen_terms(part: csr_matrix, usable: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Columns of the MOST_TERMS most frequent usable terms of a training part, in rising order."""
    columns = np.flatnonzero(usable)
    frequency = np.bincount(part.indices, weights=part.data, minlength=part.shape[1])[columns]
    kept = np.argsort(-frequency, kind="stable")[:MOST_TERMS]
    return np.sort(columns[kept]).astype(np.int32)


def _fit_option(
    features: csr_matrix, labels: NDArray[np.int8], strength: float, seed: int
) -> tuple[NDArray[np.float32], float]:
    known = labels != MISSING
    truth = labels[known] == YES
    nothing = np.zeros(features.shape[1], dtype=np.float32)
    if not len(truth) or truth.all() or not truth.any() or not features.shape[1]:
        certain = bool(len(truth)) and bool(truth.all())
        return nothing, _EDGE if certain else -_EDGE
    # The dual is ten times quicker here: texts are fewer than terms.
    model = LogisticRegression(
        solver="liblinear", dual=True, C=strength, class_weight="balanced", tol=1e-2, max_iter=1000,
        random_state=seed,
    ).fit(features[known], truth)  # fmt: skip
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])
