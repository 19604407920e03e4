"""ROUGE-L of generated summaries (rouge-score, Lin 2004), with an interval by pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.generative.perplexity import drawn_documents


def rouge_l(references: Sequence[str], generated: Sequence[str]) -> list[float]:
    """ROUGE-L F1 of each pair, with Porter stemming, in [0, 1]."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    pairs = zip(references, generated, strict=True)
    return [float(scorer.score(reference, text)["rougeL"].fmeasure) for reference, text in pairs]


def rouge_document(scores: Sequence[float], seed: int) -> dict[str, Any]:
    """Mean, 95 % interval by a bootstrap over pairs, and the number of pairs."""
    values = np.asarray(scores)
    spread = values[drawn_documents(len(values), seed)].mean(axis=1)
    low, high = np.quantile(spread, (0.025, 0.975))
    return {
        "rouge_l": round(float(values.mean()), 4),
        "interval": [round(float(low), 4), round(float(high), 4)],
        "pairs": len(values),
    }
