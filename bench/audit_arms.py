"""The arms of `bench audit`: what each makes of the same given values and text probabilities, per cell and per text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from cleanlab.multilabel_classification import get_label_quality_scores
from cleanlab.multilabel_classification.filter import (
    find_label_issues,
    find_multilabel_issues_per_class,
)
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from numpy.typing import NDArray

from bench.audit_measures import pooled_text
from models.audit.ranking import flagged
from models.audit.suspicion import Evidence, score
from models.scheme import Labels

Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]

SCORERS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
POOLINGS: dict[str, dict[str, object]] = {
    "ema .8": {"method": "exponential_moving_average", "alpha": 0.8},
    "ema .95": {"method": "exponential_moving_average", "alpha": 0.95},
    "softmin .1": {"method": "softmin", "temperature": 0.1},
}
TEXT_POOLINGS = ("noisy_or", "max")


@dataclass(frozen=True, slots=True)
class Arm:
    """Suspicion by one method."""

    cells: Scores | None
    """float32 (texts, cells)."""
    texts: NDArray[np.float64] | None
    """float64 (texts)."""
    flags: Mask | None = None
    """bool (texts, cells): the method's own flag set."""
    flagged_texts: Mask | None = None
    """bool (texts), where the method flags texts by a rule of its own."""


def arms(evidence: Evidence, seed: int) -> Iterator[tuple[str, Arm]]:
    """Every arm by name, for corpora of yes_no options; those that start with cleanlab are cleanlab's.

    Args:
        evidence: its `annotations` are used by the last arms alone.
    """
    given, probabilities = evidence.labels, evidence.probabilities
    rng = np.random.default_rng(seed)
    yield "random", _ours(rng.random(given.shape).astype(np.float32), "max")
    different = (probabilities >= 0.5) != (given == 1)
    yield "prediction ≠ label", _ours(different.astype(np.float32), "max", different)
    found = score(replace(evidence, annotations=None), seed, design="lean")
    for name in ("self_confidence", "margin", "confident_learning", "knn"):
        if name in found.every:
            yield name, _ours(found.every[name], "noisy_or")
    yield from _cleanlab("cleanlab, text", given, probabilities)
    assert found.stacked is not None
    yield from _cleanlab("cleanlab, stacked", given, found.stacked)
    for pooling in TEXT_POOLINGS:
        yield f"remand lean, {pooling}", _ours(found.scores, pooling)
    if evidence.annotations is not None:
        with_annotators = score(evidence, seed, design="lean")
        for pooling in TEXT_POOLINGS:
            yield f"remand lean with annotators, {pooling}", _ours(with_annotators.scores, pooling)


def _ours(cells: Scores, pooling: str, flags: Mask | None = None) -> Arm:
    return Arm(cells, pooled_text(cells, pooling), flagged(cells) if flags is None else flags)


def _cleanlab(name: str, given: Labels, probabilities: NDArray[np.float32]) -> Iterator[tuple[str, Arm]]:
    """cleanlab's scorers and poolings, and its own flag set with the first of them."""
    labels = [np.flatnonzero(row).tolist() for row in given]
    sure = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    flags = np.asarray(find_multilabel_issues_per_class(labels, sure, n_jobs=1), dtype=np.bool_)
    texts = find_label_issues(labels, sure, n_jobs=1)
    for method in SCORERS:
        adjustments = (False, True) if method != "confidence_weighted_entropy" else (False,)
        for adjusted in adjustments:
            told = f"{name}: {method}" + (", adjusted" if adjusted else "")
            cells = 1 - get_label_quality_scores_per_class(
                labels, sure, method=method, adjust_pred_probs=adjusted
            )
            for pooling, keywords in POOLINGS.items():
                quality = get_label_quality_scores(
                    labels, sure, method=method, adjust_pred_probs=adjusted, aggregator_kwargs=keywords
                )
                yield (
                    f"{told}, {pooling}",
                    Arm(cells.astype(np.float32), 1 - np.asarray(quality), flags, np.asarray(texts)),
                )
