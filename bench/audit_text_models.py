"""Held-out text probabilities for `bench audit`: TF-IDF of words and of letters, a probe on frozen MiniLM layers, their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from models.scheme import YES, Labels

FOLDS = 5
LAYERS = (3, 6)
"""Layers of MiniLM whose token means are the embedding (DESIGN section 7: better than the last one alone)."""
TFIDF_C, PROBE_C = 10.0, 3e-4
Probabilities = NDArray[np.float32]
View = Literal["words", "letters", "embedded"]
_CACHE = Path.home() / ".cache" / "remand-bench"


class Reader:
    """Texts prepared once per fold, so that many sets of given values can be learnt from; held out by fold throughout."""

    def __init__(
        self, texts: Sequence[str], folds: NDArray[np.int32], features: NDArray[np.float32] | None = None
    ) -> None:
        self._texts, self._folds, self._features = texts, folds, features
        self._views: dict[View, list[tuple[Any, Any]]] = {}

    def probabilities(self, view: View, given: Labels) -> Probabilities:
        """Every text by models of the other folds: float32 (texts, options).

        Args:
            view: `words` (TF-IDF of 1-2-grams), `letters` (of 3-5-grams within words), `embedded` (a probe on MiniLM).
            given: int8 (texts, options), what is learnt from.
        """
        if view not in self._views:
            self._views[view] = [self._prepared(view, fold) for fold in np.unique(self._folds)]
        found = np.empty(given.shape, dtype=np.float32)
        for fold, (seen, new) in zip(np.unique(self._folds), self._views[view], strict=True):
            inside = self._folds == fold
            for option in range(given.shape[1]):
                truth = given[~inside, option] == YES
                found[inside, option] = _probability(_model(view), seen, truth, new)
        return found

    def _prepared(self, view: View, fold: int) -> tuple[Any, Any]:
        inside = self._folds == fold
        if view == "embedded":
            if self._features is None:
                raise ValueError("there are no embeddings to probe")
            return self._features[~inside], self._features[inside]
        train, test = ([self._texts[row] for row in np.flatnonzero(rows)] for rows in (~inside, inside))
        vectorizer = _vectorizer(view)
        return vectorizer.fit_transform(train), vectorizer.transform(test)


def embeddings(texts: Sequence[str], cache: Path | None = None) -> NDArray[np.float32]:
    """Standardised means of two MiniLM layers: float32 (texts, 2 · hidden). Computed once per set of texts."""
    digest = sha256("\x00".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    file = (cache or _CACHE) / f"minilm-{digest}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
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


def _vectorizer(view: View) -> TfidfVectorizer:
    if view == "words":
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=3, max_features=60_000
    )


def _model(view: View) -> LogisticRegression:
    if view == "embedded":
        return LogisticRegression(C=PROBE_C, max_iter=60, tol=1e-2)
    return LogisticRegression(C=TFIDF_C, solver="liblinear")


def _probability(
    model: LogisticRegression, seen: Any, truth: NDArray[np.bool_], new: Any
) -> NDArray[np.float32]:
    """Probability of yes; the share of yes where all training rows are alike."""
    if truth.all() or not truth.any():
        return np.full(new.shape[0], truth.mean(), dtype=np.float32)
    return np.asarray(model.fit(seen, truth).predict_proba(new)[:, 1], dtype=np.float32)
