"""Suspicion: how little the given value of a cell is to be expected, judged by everything but that value itself.

The default, `stacked`, is the stack of `models.audit.stack` with what each annotator is known for (`models.audit.confusion`),
trusted as far as groups bear it out: a misreading that all texts of a group share explains itself. The text's other given
options may explain away only so much, and the more unlike each other groups are, the more of the suspicion is that by
the text models' mean alone. `unlimited` is the stack without this. The plain scores are kept beside them by name: self_confidence, margin,
confident_learning, and knn where there are embeddings. docs/adr/0009, 0017, 0023, 0029 and 0030 tell what was tried and what it brought.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.audit.confusion import after_annotators
from models.audit.evidence import Annotations, Evidence
from models.audit.plain import confident_learning, margin, pairwise, self_confidence
from models.audit.ranking import flagged, text_scores
from models.audit.stack import CROSSING, Design, Stacked, stack
from models.audit.stack_fits import PRECISIONS
from models.scheme import Labels, Scheme
from models.training.logistic import logit, sigmoid

__all__ = [
    "Annotations",
    "Design",
    "Evidence",
    "Suspicion",
    "flagged",
    "score",
    "self_confidence",
    "text_scores",
]


LEFT_ALONE = 0.25
"""Log-odds of suspicion that the text's other given options may take off what all but them make of it."""
_LEAST = 1e-5


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Suspicion of every cell and how it was computed."""

    scores: NDArray[np.float32]
    """float32 (texts, cells) in `Scheme.cells` order, 0 … 1; NaN where the cell has no given value or no held-out
    probability."""
    method: str
    parameters: dict[str, Any]
    every: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """All scores by name, the default one among them; the same shape and the same NaN."""
    stacked: NDArray[np.float32] | None = None
    """The stack's probabilities before annotators, float32 (texts, options)."""


def score(evidence: Evidence, seed: int = 0, design: Design = "whole", threads: int = 1) -> Suspicion:
    """Every score of every cell; `scores` is the stacked one, by the design of that name.

    threads: parts of the crossing that are read at once; keep BLAS to one thread then, or its threads wait for each other.
    With a single group nothing can be crossed: the plain self-confidence is the default then, and named as such.
    """
    labels, scheme = evidence.labels, evidence.scheme
    distinct = len(set(evidence.groups))
    parameters: dict[str, Any] = {"seed": seed, "crossing": min(CROSSING, distinct), "design": design}
    parameters["precision"] = PRECISIONS
    every = {
        "self_confidence": self_confidence(evidence.probabilities, labels, scheme),
        "margin": margin(evidence.probabilities, labels, scheme),
        "confident_learning": confident_learning(evidence.probabilities, labels, scheme),
    }
    if distinct < 2:
        return Suspicion(every["self_confidence"], "self_confidence", parameters, every)
    found = stack(evidence, seed, design, threads)
    audited = np.isfinite(every["self_confidence"])
    if found.similar is not None:
        near = self_confidence(found.similar, labels, scheme)
        every["knn"] = np.where(audited, near, np.float32(np.nan))
    final = found.probabilities
    if evidence.annotations is not None:
        final = after_annotators(final, labels, evidence.annotations, scheme)
    every["unlimited"] = pairwise(final, labels, scheme)
    every["stacked"] = _limited(every["unlimited"], found, labels, scheme)
    parameters["left"] = {"alone": LEFT_ALONE}
    parameters["design_effects"] = _told(found.effects, scheme)
    told: dict[str, Any] = {"kept_as_predicted": found.kept, "features": found.features}
    told["annotators"] = _annotators(evidence.annotations)
    return Suspicion(every["stacked"], "stacked", parameters | told, every, found.probabilities)


def _limited(
    scores: NDArray[np.float32], found: Stacked, labels: Labels, scheme: Scheme
) -> NDArray[np.float32]:
    """Suspicion trusted as far as groups bear it out; what annotators are known for is added to that unchanged.

    One over the design effect of the suspicion by the stack, raised where the text's other given options explain away
    more than they may; the rest of it by the text models' mean.
    """
    stacked, mean, alone = (
        pairwise(each, labels, scheme).astype(np.float64)
        for each in (found.probabilities, found.mean, found.alone)
    )
    odds = logit(stacked, _LEAST)
    raised = np.maximum(odds, logit(alone, _LEAST) - LEFT_ALONE)
    effects = np.column_stack([found.effects[:, cell.positions].mean(axis=1) for cell in scheme.cells])
    trusted = sigmoid(raised) / effects + mean * (1 - 1 / effects)
    limited = sigmoid(logit(scores.astype(np.float64), _LEAST) + logit(trusted, _LEAST) - odds)
    return np.asarray(limited, dtype=np.float32)


def _told(effects: NDArray[np.float32], scheme: Scheme) -> dict[str, float]:
    """Design effect by option, in the mean over texts."""
    means = effects.mean(axis=0)
    return {key: round(float(mean), 2) for key, mean in zip(scheme.option_keys, means, strict=True)}


def _annotators(annotations: Annotations | None) -> int:
    return 0 if annotations is None else len(np.unique(annotations.annotators))
