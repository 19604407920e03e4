"""Held-out text probabilities for `bench audit`: TF-IDF, a probe on frozen MiniLM layers, and their embeddings, cached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from models.scheme import YES, Labels

FOLDS = 5
LAYERS = (3, 6)
"""Layers of MiniLM whose token means are the embedding (DESIGN section 7: better than the last one alone)."""
TFIDF_C, PROBE_C = 10.0, 3e-4


@dataclass(frozen=True, slots=True)
class TextModels:
    """Held out by group: float32 (texts, options) each."""

    tfidf: NDArray[np.float32]
    probe: NDArray[np.float32]


def embeddings(texts: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """Standardised means of two MiniLM layers: float32 (texts, 2 · hidden). Computed once per set of texts."""
    digest = sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    file = cache / f"minilm-{digest}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(file, _read(texts))
    found: NDArray[np.float32] = np.load(file)
    spread = found.std(axis=0)
    # A few dimensions are constant in some layers.
    return np.asarray((found - found.mean(axis=0)) / np.where(spread > 1e-3, spread, 1.0), dtype=np.float32)


def _read(texts: Sequence[str]) -> NDArray[np.float32]:
    from models.catalog import locate
    from models.encoder.forward import trunk_batches
    from models.encoder.load import load_encoder
    from models.encoder.tokens import tokenize

    encoder = load_encoder(locate("minilm"), "cpu")
    windows = tokenize(encoder, texts, 256)
    sums = np.zeros((len(LAYERS), len(texts), encoder.hidden_size), dtype=np.float32)
    for batch in trunk_batches(encoder, windows, encoder.depth, LAYERS):
        for place, layer in enumerate(LAYERS):
            np.add.at(sums[place], windows.text_of[batch.rows], batch.sums[layer].numpy())
    means = sums / windows.text_lengths[None, :, None]
    return np.asarray(np.hstack(list(means)), dtype=np.float32)


def text_models(
    texts: Sequence[str], features: NDArray[np.float32] | None, given: Labels, folds: NDArray[np.int32]
) -> TextModels:
    """Every text by models of the other folds. Without embeddings the probe is NaN."""
    tfidf = np.empty(given.shape, dtype=np.float32)
    probe = np.full(given.shape, np.nan, dtype=np.float32)
    for fold in np.unique(folds):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        seen = words.fit_transform([texts[row] for row in train])
        new = words.transform([texts[row] for row in test])
        for option in range(given.shape[1]):
            truth = given[train, option] == YES
            model = LogisticRegression(C=TFIDF_C, solver="liblinear")
            tfidf[test, option] = _probability(model, seen, truth, new)
            if features is not None:
                linear = LogisticRegression(C=PROBE_C, max_iter=60, tol=1e-2)
                probe[test, option] = _probability(linear, features[train], truth, features[test])
    return TextModels(tfidf, probe)


def _probability(
    model: LogisticRegression, seen: object, truth: NDArray[np.bool_], new: object
) -> NDArray[np.float32]:
    """Probability of yes; the share of yes where all training rows are alike."""
    if truth.all() or not truth.any():
        return np.full(new.shape[0], truth.mean(), dtype=np.float32)  # type: ignore[attr-defined]
    return np.asarray(model.fit(seen, truth).predict_proba(new)[:, 1], dtype=np.float32)
