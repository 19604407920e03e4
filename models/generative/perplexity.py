"""Perplexity of documents with an interval: which texts were drawn is what it is uncertain of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.generative.causal import Likelihood

DRAWS = 2000


def perplexity(found: Likelihood, seed: int) -> dict[str, Any]:
    """Perplexity per token, and its 95 % interval by a bootstrap over documents (percentiles)."""
    draws = drawn_documents(len(found.losses), seed)
    spread = np.exp(_ratio(found.losses, found.tokens, draws))
    return {
        "perplexity": round(float(np.exp(found.mean)), 4),
        "interval": _interval(spread),
        "documents": len(found.losses),
        "tokens": int(found.tokens.sum()),
    }


def change(before: Likelihood, after: Likelihood, seed: int) -> dict[str, Any]:
    """After over before, on the same documents: below 1 is better. The bootstrap is paired by document."""
    draws = drawn_documents(len(before.losses), seed)
    spread = np.exp(_ratio(after.losses - before.losses, before.tokens, draws))
    low, high = _interval(spread)
    return {
        "ratio": round(float(np.exp(after.mean - before.mean)), 5),
        "interval": [low, high],
        "better": bool(high < 1),
    }


def drawn_documents(documents: int, seed: int) -> NDArray[np.int64]:
    """int64 (DRAWS, documents): rows drawn with replacement."""
    return np.random.default_rng(seed).integers(0, documents, (DRAWS, documents))


def _ratio(
    losses: NDArray[np.float64], tokens: NDArray[np.int64], draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = losses[draws].sum(axis=1) / np.maximum(1, tokens[draws].sum(axis=1))
    return drawn


def _interval(spread: NDArray[np.float64]) -> list[float]:
    low, high = np.quantile(spread, (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]
