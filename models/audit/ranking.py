"""How good a ranking of suspects is, and which of them are flagged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.metrics import average_precision

FLAG_AT = 0.5
"""Suspicion from which a cell is flagged: the given value is held less likely than not."""
DAMPED = float(np.exp(-1.0))
"""Share of a cell's odds that count when a text's cells are pooled: many slightly raised ones would outvote a single high one."""
FLAG_SHARE = 0.02
"""Share of the audited cells that is flagged in any case, so that no audit ends without anything to read."""


def flagged(scores: NDArray[np.float32], at: float = FLAG_AT, share: float = FLAG_SHARE) -> NDArray[np.bool_]:
    """Cells to read: suspicion of at least `at`, or among the top `share` of audited cells.

    Args:
        scores: suspicion, float32 (texts, cells), NaN where not audited.

    Returns:
        bool of the same shape; never true where not audited.
    """
    audited = np.flatnonzero(np.isfinite(scores))
    marked = np.zeros(scores.size, dtype=np.bool_)
    values = scores.ravel()[audited]
    top = int(np.ceil(share * len(audited)))
    marked[audited[np.argsort(-values, kind="stable")[:top]]] = True
    marked[audited[values >= at]] = True
    return marked.reshape(scores.shape)


def text_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """One score per text, float32 (texts): noisy-or over its cells, with the odds of each damped.

    NaN where no cell is audited.
    """
    found = np.clip(np.nan_to_num(scores.astype(np.float64)), 0.0, 1 - 1e-9)
    damped = found * DAMPED / (found * DAMPED + 1 - found)
    right = np.log1p(-damped).sum(axis=1)
    return np.where(np.isfinite(scores).any(axis=1), -np.expm1(right), np.nan).astype(np.float32)


def highest_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The score of each text's most suspicious cell, float32 (texts); NaN where no cell is audited."""
    top = np.where(np.isfinite(scores), scores, -np.inf).max(axis=1, initial=-np.inf)
    return np.where(np.isfinite(top), top, np.nan).astype(np.float32)


def ranking_precision(wrong: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Average precision of suspicion against truly wrong labels, over the audited cells or texts; NaN without errors."""
    audited = np.isfinite(scores)
    return average_precision(wrong[audited], scores[audited])


def precision_at(wrong: NDArray[np.bool_], scores: NDArray[np.float32], count: int) -> float:
    """Share of truly wrong ones among the `count` most suspicious audited cells or texts (fewer if fewer are audited)."""
    audited = np.isfinite(scores)
    values, errors = scores[audited], wrong[audited]
    top = np.argsort(-values, kind="stable")[:count]
    return float(errors[top].mean()) if len(top) else float("nan")
