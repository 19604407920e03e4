"""Held-out logits of a linear probe on sentence embeddings: one more text model, at the cost of seconds.

Logistic regression on the leading principal components, crossed over parts by group, each part's fits without the texts that
repeat one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.audit.stack import CROSSING, FEWEST
from models.data.embargo import embargo
from models.data.folds import assign_folds
from models.data.near_duplicates import Signatures
from models.scheme import NO, YES, Labels
from models.training.logistic import fit_logistic

COMPONENTS = 64
"""Directions of the embeddings that are kept; the cost grows with their square."""
PRECISION = 30.0
"""Prior precision of each coefficient, for components of unit spread."""


def probe_logits(
    embeddings: NDArray[np.floating],
    labels: Labels,
    groups: Sequence[str],
    digests: Sequence[str],
    signed: Signatures,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Logits of every option by a probe that saw neither the text, its group nor a duplicate: float32 (texts, options).

    NaN where an option has too few values to learn from. With a single group everything is NaN: nothing can be held out.

    Args:
        embeddings: float (texts, dim).
        labels: int8 (texts, options).
        groups: group of each text.
        digests: of each text's normalised content.
        signed: uint32 (texts, permutations).
        seed: of the parts.
    """
    found = np.full(labels.shape, np.nan, dtype=np.float32)
    distinct = len(set(groups))
    if distinct < 2:
        return found
    parts = assign_folds(groups, min(CROSSING, distinct), seed)
    features = _components(embeddings)
    for part in np.unique(parts):
        split = embargo(parts, int(part), digests, signed)
        for option in range(labels.shape[1]):
            known = split.train & np.isin(labels[:, option], (NO, YES))
            truth = (labels[known, option] == YES).astype(np.float64)
            if min(truth.sum(), (1 - truth).sum()) >= FEWEST:
                found[split.held_out, option] = _logits(features, known, split.held_out, truth)
    return found


def _logits(
    features: NDArray[np.float32],
    learnt: NDArray[np.bool_],
    read: NDArray[np.bool_],
    truth: NDArray[np.float64],
) -> NDArray[np.float64]:
    precision = np.full(features.shape[1], PRECISION)
    precision[-1] = 1e-2
    fitted = fit_logistic(features[learnt], truth, np.zeros(len(precision)), precision)
    return np.asarray(features[read] @ fitted.astype(np.float32), dtype=np.float64)


def _components(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Leading principal components of unit spread and a column of ones: float32 (texts, components + 1)."""
    values = embeddings.astype(np.float32)
    values = values - values.mean(axis=0)
    variance, directions = np.linalg.eigh((values.T @ values).astype(np.float64) / len(values))
    kept = np.argsort(-variance)[:COMPONENTS]
    spread = np.sqrt(np.maximum(variance[kept], 1e-12))
    scaled = values @ (directions[:, kept] / spread).astype(np.float32)
    return np.column_stack([scaled, np.ones(len(values), dtype=np.float32)]).astype(np.float32)
