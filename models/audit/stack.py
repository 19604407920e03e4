"""The stacked reading of every option: held-out probabilities, other given options and neighbours, crossed by group.

A model per option predicts the given value from the held-out logits, the text's *other* given options, the texts beside it
and similar texts elsewhere. It is fitted around the mean of the text models' logits: what the rest adds has to be shown by
the data. Where annotators are known each has an effect of its own in the fit, and a text is read as every *other* annotator
would have answered: a habit of the one who gave a value must not excuse it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.evidence import Annotations, Evidence
from models.audit.neighbours import adjacent, label_rates
from models.data.folds import assign_folds
from models.scheme import MISSING, NO, YES, Scheme
from models.training.logistic import fit_logistic, logit, sigmoid

Matrix = NDArray[np.float64]

FEWEST = 5
"""Positives (and negatives) below which an option keeps its held-out probability."""
CROSSING = 5
"""Parts by group that the stacked model is crossed over, or as many as there are groups."""
PRECISION = 15.0
"""Prior precision of each coefficient, for features of unit spread: around 1 for the text models' mean logit, 0 for the rest."""
EFFECT_PRECISION = 1.0
"""Prior precision of an annotator's effect on an option's logit."""
_LEAST = 1e-3


@dataclass(frozen=True, slots=True)
class Stacked:
    """What the stack makes of a run's options."""

    probabilities: NDArray[np.float32]
    """float32 (texts, options)."""
    kept: list[str]
    """Options that kept the held-out probability."""
    features: list[str]
    similar: NDArray[np.float32] | None
    """Rates of yes among similar texts, float32 (texts, options), where there are embeddings."""


@dataclass(frozen=True, slots=True)
class _Voices:
    """Who gave the values of each text, and who else could have."""

    shares: Matrix
    """float64 (texts, annotators): share of each annotator in the text's values, around the mean; 0 where unknown."""
    others: Matrix
    """float64 (texts, annotators), rows sum to 1: whose answers a text is read by."""
    effects: Matrix
    """float64 (annotators, annotators): what `shares` would be were each one alone."""


def stack(evidence: Evidence, seed: int) -> Stacked:
    """Stacked probabilities of every option. The groups must be at least two."""
    features, similar = blocks(evidence, seed)
    parts = min(CROSSING, len(set(evidence.groups)))
    folds = assign_folds(evidence.groups, parts, seed)
    voices = _voices(evidence.annotations, len(evidence.labels))
    found, kept = evidence.probabilities.copy(), []
    for column, key in enumerate(evidence.scheme.option_keys):
        known = np.isfinite(evidence.probabilities[:, column]) & np.isin(
            evidence.labels[:, column], (NO, YES)
        )
        truth = (evidence.labels[known, column] == YES).astype(np.float64)
        if min(truth.sum(), (1 - truth).sum()) < FEWEST:
            kept.append(key)
            continue
        logits = np.mean(
            [_crossed(design[known], truth, folds[known], voices, known) for design in _designs(evidence.scheme, features, column)],
            axis=0,
        )  # fmt: skip
        found[known, column] = _read_by_others(logits, voices, known)
    return Stacked(found, kept, sorted(features), similar)


def blocks(evidence: Evidence, seed: int) -> tuple[dict[str, Matrix], NDArray[np.float32] | None]:
    """Blocks of evidence by name, each float64 (texts, options), and the rates of similar texts.

    `mean` is the mean logit of all text models. No block but `given` holds anything of a text's own given values.
    """
    logits = np.nan_to_num(logit(evidence.probabilities.astype(np.float64), _LEAST))
    given = np.where(evidence.labels == MISSING, 0.0, np.where(evidence.labels == YES, 1.0, -1.0))
    found = {"logits": logits}
    for name, values in (("wide", evidence.wide_logits), ("probe", evidence.probe_logits)):
        if values is not None:
            found[name] = np.nan_to_num(np.clip(values.astype(np.float64), -10, 10))
    rates = None
    if evidence.embeddings is not None:
        rates = label_rates(evidence.embeddings, evidence.labels, evidence.groups, evidence.signatures, seed)
        found["similar"] = logit(rates.astype(np.float64), 0.01)
    mean = np.mean(list(found.values()), axis=0)
    if evidence.order is not None:
        before, after = adjacent(evidence.groups, evidence.order)
        for name, rows in (("before", before), ("after", after)):
            found[f"{name}_logits"], found[f"{name}_given"] = _taken(mean, rows), _taken(given, rows)
            found[f"{name}_2_given"] = _taken(_taken(given, rows), rows)
    return found | {"given": given, "mean": mean}, rates


def _taken(values: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Rows of another text, zero where there is none (-1)."""
    return np.where(rows[:, None] >= 0, values[rows], 0.0)


def _designs(scheme: Scheme, features: dict[str, Matrix], column: int) -> list[Matrix]:
    """Two readings of an option, one without and one with the text's other given options.

    Both, because an annotator who swapped two options made both cells agree with each other.
    """
    own = [block[:, [column]] for name, block in features.items() if name not in {"given", "mean"}]
    alone = np.hstack([features["mean"][:, [column]], *own])
    others = other_options(scheme, column)
    return [alone, np.hstack([alone, features["given"][:, others]])] if others else [alone]


def other_options(scheme: Scheme, column: int) -> list[int]:
    """Options whose given values may speak: not the option itself, nor the rest of its choose_one question."""
    barred = {column}
    for cell in scheme.cells:
        if column in cell.positions:
            barred.update(cell.positions)
    return [other for other in range(len(scheme.options)) if other not in barred]


def _crossed(
    design: Matrix, truth: Matrix, folds: NDArray[np.int32], voices: _Voices | None, known: NDArray[np.bool_]
) -> Matrix:
    """Logits of each row by a fit on the other parts: float64 (rows, voices), one column without annotators."""
    shares = np.zeros((len(truth), 0)) if voices is None else voices.shares[known]
    width = design.shape[1] + 1
    prior, precision = np.zeros(width + shares.shape[1]), np.full(width + shares.shape[1], PRECISION)
    prior[0], precision[width - 1], precision[width:] = 1.0, 1.0, EFFECT_PRECISION
    result = np.empty((len(truth), 1 if voices is None else len(voices.effects)))
    for part in np.unique(folds):
        train = folds != part
        scaled = _scaled(design, train)
        whole = np.hstack([scaled, shares]).astype(np.float32)
        # Each part begins at the prior. Another part's fit knows the held-out values, and a search that stops near the
        # optimum would carry them over (by up to 1e-3 of probability, when it was done).
        found = fit_logistic(whole[train], truth[train], prior, precision)
        result[~train] = (scaled[~train] @ found[:width])[:, None]
        if voices is not None:
            result[~train] += voices.effects @ found[width:]
    return result


def _scaled(design: Matrix, train: NDArray[np.bool_]) -> Matrix:
    """Features around the mean and by the spread of the training rows, then ones: float64 (rows, features + 1).

    Not of all rows: a neighbour's features hold the held-out rows' given values.
    """
    centre, spread = design[train].mean(axis=0), design[train].std(axis=0) + 1e-6
    centre[0], spread[0] = 0.0, 1.0  # the mean logit keeps its meaning
    return np.column_stack([(design - centre) / spread, np.ones(len(design))])


def _read_by_others(logits: Matrix, voices: _Voices | None, known: NDArray[np.bool_]) -> Matrix:
    """Probability by whoever else could have answered: float64 (rows)."""
    probabilities: Matrix = sigmoid(logits)
    if voices is None:
        return probabilities[:, 0]
    return np.asarray((probabilities * voices.others[known]).sum(axis=1))


def _voices(annotations: Annotations | None, texts: int) -> _Voices | None:
    """None without annotators, or with a single one: there is nobody else to compare with."""
    if annotations is None or len(np.unique(annotations.annotators)) < 2:
        return None
    count = int(annotations.annotators.max()) + 1
    gave = np.zeros((texts, count))
    answered = (annotations.values != MISSING).any(axis=1)
    gave[annotations.texts[answered], annotations.annotators[answered]] = 1.0
    weight = np.sqrt(gave.sum(axis=0))
    others = (1 - gave) * weight
    others[others.sum(axis=1) == 0] = weight
    total = gave.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, gave / np.maximum(total, 1) - 1 / count, 0.0)
    return _Voices(shares, others / others.sum(axis=1, keepdims=True), np.eye(count) - 1 / count)


def annotated(rows: Sequence[int], annotators: Sequence[str], values: NDArray[np.int8]) -> Annotations:
    """Annotations of named annotators, who are counted in the order of their names."""
    codes = np.unique(np.asarray(annotators, dtype=np.str_), return_inverse=True)[1]
    return Annotations(np.asarray(rows, dtype=np.int64), codes.astype(np.int64), values)
