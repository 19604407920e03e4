"""The peer of `bench quality`: scikit-learn's TF-IDF and balanced logistic regression, as in a textbook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bench.quality_data import Collection
from models.data.folds import assign_folds
from models.evaluation.paired import Side
from models.scheme import YES
from models.training.calibration import fit_calibration


def peers(
    collection: Collection, rows: NDArray[np.int64], check: NDArray[np.int64], folds: int, seed: int
) -> dict[str, Side]:
    """Decided at 0.5, and at thresholds chosen on the training folds.

    Args:
        collection: the texts.
        rows: trained on.
        check: read.
        folds: of the training rows, by group.
        seed: draws them.
    """
    assigned = assign_folds([collection.groups[row] for row in rows], folds, seed)
    crossed = np.zeros((len(rows), collection.labels.shape[1]), dtype=np.float32)
    for fold in range(folds):
        inside = assigned == fold
        crossed[inside] = textbook(collection, rows[~inside], rows[inside])
    logits = textbook(collection, rows, check)
    plain = (1 / (1 + np.exp(-logits))).astype(np.float32)
    tuned = fit_calibration(crossed, collection.labels[rows], collection.scheme)
    probabilities = tuned.apply(logits)
    return {
        "TF-IDF at 0.5": Side(plain, (logits > 0).astype(np.int8)),
        "TF-IDF, thresholds from folds": Side(probabilities, tuned.decide(probabilities)),
    }


def textbook(collection: Collection, fit: NDArray[np.int64], read: NDArray[np.int64]) -> NDArray[np.float32]:
    """Logits, float32 (read, options), of one fit per option."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    features = words.fit_transform([collection.texts[row] for row in fit])
    asked = words.transform([collection.texts[row] for row in read])
    found = np.zeros((len(read), collection.labels.shape[1]), dtype=np.float32)
    for option in range(found.shape[1]):
        if len(set(collection.labels[fit, option].tolist())) == 1:
            found[:, option] = 6.0 if collection.labels[fit[0], option] == YES else -6.0
            continue
        model = LogisticRegression(
            class_weight="balanced", C=10, solver="liblinear", dual=True, max_iter=1000, tol=1e-2
        )
        found[:, option] = model.fit(features, collection.labels[fit, option] == YES).decision_function(asked)
    return found
