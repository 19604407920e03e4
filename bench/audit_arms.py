"""The arms of `bench audit`: what each makes of the same given values and text probabilities, per cell and per text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from cleanlab.filter import find_label_issues as find_single_issues
from cleanlab.multilabel_classification import get_label_quality_scores
from cleanlab.multilabel_classification.filter import (
    find_label_issues,
    find_multilabel_issues_per_class,
)
from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class
from cleanlab.rank import get_label_quality_scores as get_single_scores
from numpy.typing import NDArray

from bench.audit_measures import pooled_text
from models.audit.plain import cell_values
from models.audit.ranking import flagged
from models.audit.stack import Design
from models.audit.suspicion import Evidence, Suspicion, score
from models.scheme import Labels, Scheme

Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]

SCORERS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
POOLINGS: dict[str, dict[str, object]] = {
    "ema .8": {"method": "exponential_moving_average", "alpha": 0.8},
    "ema .95": {"method": "exponential_moving_average", "alpha": 0.95},
    "softmin .1": {"method": "softmin", "temperature": 0.1},
}
TEXT_POOLINGS = ("noisy_or", "max")
DESIGNS: tuple[Design, ...] = ("whole", "lean")
CLEANLAB = ("cleanlab, text", "cleanlab, stacked")


@dataclass(frozen=True, slots=True)
class Arm:
    """Suspicion by one method."""

    cells: Scores
    """float32 (texts, cells)."""
    texts: NDArray[np.float64]
    """float64 (texts)."""
    flags: Mask
    """bool (texts, cells): the method's own flag set."""
    flagged_texts: Mask
    """bool (texts)."""


def arms(evidence: Evidence, seed: int, designs: Sequence[Design] = DESIGNS) -> Iterator[tuple[str, Arm]]:
    """Every arm by name; those that start with cleanlab are cleanlab's.

    Args:
        evidence: its `annotations` are used by the last arms alone.
        seed: of the crossing and of the random arm.
        designs: of the stack, `whole` among them.
    """
    given, probabilities, scheme = evidence.labels, evidence.probabilities, evidence.scheme
    rng = np.random.default_rng(seed)
    yield "random", _ours(rng.random((len(given), len(scheme.cells))).astype(np.float32), "max")
    different = _differs(probabilities, given, scheme)
    yield "prediction ≠ label", _ours(different.astype(np.float32), "max", different)
    without = {design: score(replace(evidence, annotations=None), seed, design) for design in designs}
    for name in ("self_confidence", "margin", "confident_learning", "knn"):
        if name in without["whole"].every:
            yield name, _ours(without["whole"].every[name], "noisy_or")
    yield from _cleanlab_on_both(evidence, without["whole"])
    for design in designs:
        told = "remand" if design == "whole" else f"remand {design}"
        yield f"{told}, unlimited", _ours(without[design].every["unlimited"], "noisy_or")
        yield from ((f"{told}, {pooling}", _ours(without[design].scores, pooling)) for pooling in TEXT_POOLINGS)  # fmt: skip
        if evidence.annotations is not None:
            known = score(evidence, seed, design)
            yield from ((f"{told} with annotators, {pooling}", _ours(known.scores, pooling)) for pooling in TEXT_POOLINGS)  # fmt: skip
            yield f"{told} with annotators, unlimited", _ours(known.every["unlimited"], "noisy_or")


def cleanlab_arms(evidence: Evidence, seed: int) -> Iterator[tuple[str, Arm]]:
    """cleanlab's arms alone."""
    return _cleanlab_on_both(evidence, score(replace(evidence, annotations=None), seed))


def _cleanlab_on_both(evidence: Evidence, found: Suspicion) -> Iterator[tuple[str, Arm]]:
    """On the text probabilities and on our stacked ones."""
    stacked = evidence.probabilities if found.stacked is None else found.stacked
    for name, probabilities in zip(CLEANLAB, (evidence.probabilities, stacked), strict=True):
        yield from _cleanlab(name, evidence.labels, probabilities, evidence.scheme)


def _differs(probabilities: NDArray[np.float32], given: Labels, scheme: Scheme) -> Mask:
    """Cells whose likeliest value is not the given one."""
    columns = []
    for cell in scheme.cells:
        found, chosen = cell_values(probabilities, given, cell)
        columns.append(chosen.any(axis=1) & (found.argmax(axis=1) != chosen.argmax(axis=1)))
    return np.column_stack(columns)


def _ours(cells: Scores, pooling: str, flags: Mask | None = None) -> Arm:
    chosen = flagged(cells) if flags is None else flags
    return Arm(cells, pooled_text(cells, pooling), chosen, chosen.any(axis=1))


def _cleanlab(
    name: str, given: Labels, probabilities: NDArray[np.float32], scheme: Scheme
) -> Iterator[tuple[str, Arm]]:
    """cleanlab's scorers and poolings, and its own flag set with each of them."""
    if scheme.cells[0].option is None:
        yield from _single(name, *cell_values(probabilities, given, scheme.cells[0]))
        return
    labels = [np.flatnonzero(row).tolist() for row in given]
    sure = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    flags = np.asarray(find_multilabel_issues_per_class(labels, sure, n_jobs=1), dtype=np.bool_)
    texts = np.asarray(find_label_issues(labels, sure, n_jobs=1))
    for method, adjusted, told in _scorers(name):
        cells = 1 - get_label_quality_scores_per_class(labels, sure, method=method, adjust_pred_probs=adjusted)  # fmt: skip
        for pooling, keywords in POOLINGS.items():
            quality = get_label_quality_scores(
                labels, sure, method=method, adjust_pred_probs=adjusted, aggregator_kwargs=keywords
            )
            yield f"{told}, {pooling}", Arm(cells.astype(np.float32), 1 - np.asarray(quality), flags, texts)


def _single(name: str, found: NDArray[np.float64], chosen: Mask) -> Iterator[tuple[str, Arm]]:
    """The same for a single choose_one question: a text has one cell."""
    labels, sure = chosen.argmax(axis=1), np.clip(found, 1e-6, 1.0)
    sure /= sure.sum(axis=1, keepdims=True)
    flags = np.asarray(find_single_issues(labels, sure, n_jobs=1))
    for method, adjusted, told in _scorers(name):
        suspicion = 1 - get_single_scores(labels, sure, method=method, adjust_pred_probs=adjusted)
        yield told, Arm(suspicion.astype(np.float32)[:, None], suspicion, flags[:, None], flags)


def _scorers(name: str) -> Iterator[tuple[str, bool, str]]:
    for method in SCORERS:
        yield method, False, f"{name}: {method}"
        if method != "confidence_weighted_entropy":
            yield method, True, f"{name}: {method}, adjusted"
