"""Analyses answered: Ŷ cross-fitted for the labels at stake, the equation solved, the naive estimate beside, or the reason for a refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.estimates.draws import ExpertSample, pooled
from models.estimates.limits import LEVEL
from models.estimates.moments import Link, Readings
from models.estimates.panel import Column, Panel, Prepared
from models.estimates.regression import Estimate, Naive, Refusal, prevalence, regression
from models.estimates.sample import cross_fitted_labels, label_features

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an analysis."""

    prepared: Prepared
    estimates: tuple[Estimate, ...]
    predicted: dict[str, Vector]
    """Ŷ by label: float64 (texts,), 0 … 1; NaN for texts that are not asked about."""
    refusal: str | None


def answer(panel: Panel, prepared: Prepared, seed: int = 0, level: float = LEVEL) -> Answer:
    """Estimate what was prepared.

    Args:
        panel: every text.
        prepared: of this panel.
        seed: of the folds that Ŷ is crossed over.
        level: coverage asked for.
    """
    if prepared.refusal is not None:
        return Answer(prepared, (), {}, prepared.refusal)
    sample = pooled(prepared.draws, panel.clusters)
    predicted = _predicted(panel, prepared, sample, seed)
    if prepared.analysis.kind == "prevalence":
        found: list[Estimate] | Refusal = _prevalence(panel, prepared, sample, predicted, level)
    else:
        found = regression(
            prepared.names, _readings(panel, prepared, predicted), sample, _link(prepared), prepared.rarest,
            _naive(panel, prepared), level,
        )  # fmt: skip
    if isinstance(found, Refusal):
        return Answer(prepared, (), predicted, found.reason)
    return Answer(prepared, tuple(_titled(prepared, found)), predicted, None)


def _link(prepared: Prepared) -> Link:
    return "logistic" if prepared.analysis.kind == "logistic" else "linear"


def _titled(prepared: Prepared, found: list[Estimate]) -> list[Estimate]:
    """Differences say what they are the difference from; everything else keeps its column's name."""
    if prepared.analysis.kind != "difference":
        return found
    base = prepared.base_level
    names = [f"{base} (share)", *(f"{column.level} − {base}" for column in prepared.design[1:])]
    return [replace(estimate, name=name) for name, estimate in zip(names, found, strict=True)]


def _predicted(panel: Panel, prepared: Prepared, sample: ExpertSample, seed: int) -> dict[str, Vector]:
    """Ŷ of every label at stake, from all labels' given values and probabilities and the columns; fitted on the texts asked about alone."""
    rows = np.flatnonzero(prepared.inside)
    labels = dict.fromkeys(prepared.analysis.labels)
    columns = [
        column.values for column in (prepared.outcome, *prepared.design[1:]) if column.values is not None
    ]
    features = np.column_stack(
        [label_features(panel.labels[key].student, panel.labels[key].probability) for key in labels]
        + [values[:, None] for values in columns]
    )[rows]
    groups = np.unique(sample.groups[rows], return_inverse=True)[1]
    inside = ExpertSample(sample.sampled[rows], sample.inclusion[rows], sample.stratum[rows], groups)
    found = {}
    for key in labels:
        found[key] = np.full(len(sample.sampled), np.nan)
        truth = np.maximum(panel.labels[key].expert[rows], 0).astype(np.float64)
        found[key][rows] = cross_fitted_labels(truth, features, inside, seed=seed)
    return found


def _prevalence(
    panel: Panel, prepared: Prepared, sample: ExpertSample, predicted: dict[str, Vector], level: float
) -> list[Estimate] | Refusal:
    key = prepared.analysis.labels[0]
    label = panel.labels[key]
    found = prevalence(
        np.maximum(label.expert, 0).astype(np.float64), np.nan_to_num(predicted[key]), sample, label.student, level, key,
        prepared.inside,
    )  # fmt: skip
    return found if isinstance(found, Refusal) else [found]


def _readings(panel: Panel, prepared: Prepared, predicted: dict[str, Vector]) -> Readings:
    expert = {
        key: np.where(prepared.sampled, np.maximum(panel.labels[key].expert, 0), 0).astype(np.float64)
        for key in predicted
    }
    return Readings(
        _column(prepared.outcome, expert, prepared), _column(prepared.outcome, predicted, prepared),
        _design(prepared, expert), _design(prepared, predicted),
    )  # fmt: skip


def _naive(panel: Panel, prepared: Prepared) -> Naive:
    """The same with the labels given, on the texts that have all of them."""
    given = {key: panel.labels[key].student for key in dict.fromkeys(prepared.analysis.labels)}
    known = prepared.inside & np.all([values >= 0 for values in given.values()], axis=0)
    student = {key: np.maximum(values, 0).astype(np.float64) for key, values in given.items()}
    return Naive(_column(prepared.outcome, student, prepared), _design(prepared, student), known)


def _design(prepared: Prepared, labels: dict[str, Vector]) -> Matrix:
    return np.column_stack([_column(column, labels, prepared) for column in prepared.design])


def _column(column: Column, labels: dict[str, Vector], prepared: Prepared) -> Vector:
    """Values of a column in one reading of the labels, 0 for texts that are not asked about."""
    values = labels[column.label] if column.label is not None else column.values
    assert values is not None
    return np.asarray(np.where(prepared.inside, values, 0.0))
