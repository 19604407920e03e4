"""Calibration and thresholds: from a model's logits to probabilities and decisions, per option.

Platt scaling by penalised maximum likelihood for yes_no_set options (Platt 1999), one temperature for each choose_one
question (Guo et al. 2017). The penalty draws every option towards the fit pooled over all of them: an option with many
positives is hardly moved, one with three follows the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scheme import MISSING, NO, YES, Labels, Scheme
from models.training.logistic import fit_logistic, logit, sigmoid

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]

SLOPE_PRECISION = 16.0
"""Prior precision of an option's slope around the pooled slope (standard deviation 0.25)."""
INTERCEPT_PRECISION = 1.0
"""Prior precision of an option's intercept around the pooled intercept (standard deviation 1)."""
LEAST_SLOPE = 0.05
"""Slopes stay positive: calibration never turns a model's order around."""
THRESHOLD_POSITIVES = 10.0
"""Positives at which a threshold lies half-way (in logits) between 0.5 and the one that maximises F1."""
_LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per option (in column order): probability = sigmoid(slope · logit + intercept), decided at `thresholds`.

    The columns of a choose_one question share a slope (1 / temperature), have intercept 0, go through one softmax, and
    are decided by the largest; their threshold is 0.5 and unused.
    """

    slopes: Vector
    intercepts: Vector
    thresholds: NDArray[np.float32]
    softmax: tuple[tuple[int, ...], ...] = ()
    """Columns of each choose_one question."""

    def apply(self, logits: Matrix) -> Matrix:
        """Calibrated probabilities, float32 (rows, options), of logits of the same shape. NaN stays NaN."""
        scaled = np.clip(logits, -_LIMIT, _LIMIT) * self.slopes + self.intercepts
        result = sigmoid(scaled)
        for columns in self.softmax:
            result[:, columns] = softmax(scaled[:, columns])
        probabilities: Matrix = result.astype(np.float32)
        return probabilities

    def decide(self, probabilities: Matrix) -> Labels:
        """Decisions at the thresholds: int8 (rows, options); MISSING where the probability is NaN."""
        return decide(probabilities, self.thresholds, self.softmax)

    def to_document(self, option_keys: Sequence[str]) -> dict[str, Any]:
        """JSON form, as in an adapter's calibration.json."""
        rows = zip(option_keys, self.slopes, self.intercepts, self.thresholds, strict=True)
        return {
            "options": [
                {
                    "key": key,
                    "slope": float(slope),
                    "intercept": float(intercept),
                    "threshold": float(threshold),
                }
                for key, slope, intercept, threshold in rows
            ],
            "softmax": [list(columns) for columns in self.softmax],
        }

    @staticmethod
    def from_document(document: dict[str, Any]) -> Calibration:
        """Inverse of `to_document`."""
        options = document["options"]
        return Calibration(
            np.array([option["slope"] for option in options], dtype=np.float64),
            np.array([option["intercept"] for option in options], dtype=np.float64),
            np.array([option["threshold"] for option in options], dtype=np.float32),
            tuple(tuple(columns) for columns in document["softmax"]),
        )


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What calibration on the other folds makes of each row."""

    probabilities: Matrix
    """float32 (rows, options); NaN where the row belongs to no fold or has no logit."""
    decisions: Labels
    """int8 (rows, options) at the other folds' thresholds."""
    calibrations: tuple[Calibration, ...]
    """The calibration used for each fold."""


def fit_calibration(logits: Matrix, labels: Labels, scheme: Scheme) -> Calibration:
    """Calibration and thresholds from held-out logits.

    Args:
        logits: float32 (rows, options); rows with NaN are left out.
        labels: int8 (rows, options); MISSING cells are left out.
        scheme: names the choose_one questions.
    """
    choices = choose_one_columns(scheme)
    chosen = {column for columns in choices for column in columns}
    options = logits.shape[1]
    slopes, intercepts = np.ones(options), np.zeros(options)
    single = [column for column in range(options) if column not in chosen]
    slopes[single], intercepts[single] = _platt(logits, labels, single)
    for columns in choices:
        slopes[list(columns)] = 1.0 / _temperature(logits[:, columns], labels[:, columns])
    even = np.full(options, 0.5, dtype=np.float32)
    untuned = Calibration(slopes, intercepts, even, choices)
    tuned = even.copy()
    probabilities = untuned.apply(logits)
    for column in single:
        tuned[column] = best_threshold(probabilities[:, column], labels[:, column])
    return Calibration(slopes, intercepts, tuned, choices)


def cross_fit(logits: Matrix, labels: Labels, folds: NDArray[np.int32], scheme: Scheme) -> CrossFitted:
    """Calibrate and decide each fold with what was fitted on all the other folds.

    Args:
        logits: held-out, float32 (rows, options).
        labels: int8 (rows, options).
        folds: int32 (rows); rows of a negative fold take no part.
        scheme: names the choose_one questions.
    """
    fitted = []
    for fold in range(int(folds.max(initial=-1)) + 1):
        others = (folds != fold) & (folds >= 0)
        fitted.append(fit_calibration(logits[others], labels[others], scheme))
    return calibrated_by(fitted, logits, folds)


def calibrated_by(
    calibrations: Sequence[Calibration], logits: Matrix, folds: NDArray[np.int32]
) -> CrossFitted:
    """Each fold's rows calibrated and decided as its model is served.

    Args:
        calibrations: of the folds, in order.
        logits: held-out, float32 (rows, options).
        folds: int32 (rows); rows of a negative fold take no part.
    """
    probabilities = np.full(logits.shape, np.nan, dtype=np.float32)
    decisions = np.full(logits.shape, MISSING, dtype=np.int8)
    for fold, calibration in enumerate(calibrations):
        inside = folds == fold
        probabilities[inside] = calibration.apply(logits[inside])
        decisions[inside] = calibration.decide(probabilities[inside])
    return CrossFitted(probabilities, decisions, tuple(calibrations))


def choose_one_columns(scheme: Scheme) -> tuple[tuple[int, ...], ...]:
    """Columns of each choose_one question of a scheme."""
    return tuple(cell.positions for cell in scheme.cells if cell.option is None)


def decide(
    probabilities: Matrix, thresholds: NDArray[np.float32], choices: Sequence[tuple[int, ...]] = ()
) -> Labels:
    """Decisions at thresholds, int8 (rows, options); within `choices` the largest is YES and the rest NO."""
    decisions = np.where(probabilities >= thresholds, YES, NO).astype(np.int8)
    for columns in choices:
        best = np.argmax(probabilities[:, columns], axis=1)
        decisions[:, columns] = best[:, None] == np.arange(len(columns))
    decisions[np.isnan(probabilities)] = MISSING
    return decisions


def best_threshold(probabilities: NDArray[np.float32], labels: NDArray[np.int8]) -> float:
    """The threshold that maximises F1, drawn towards 0.5 (in logits) where there are few positives.

    The weight of the maximiser is positives / (positives + THRESHOLD_POSITIVES); without any positive it is 0.5.
    """
    known = (labels != MISSING) & np.isfinite(probabilities)
    values, truth = probabilities[known].astype(np.float64), labels[known] == YES
    positives = int(truth.sum())
    if not positives or positives == len(truth):
        return 0.5
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    f1 = 2 * np.cumsum(truth) / (np.arange(1, len(values) + 1) + positives)
    below = np.append(values[1:], 0.0)
    f1[values == below] = -1.0  # no threshold lies between equal values
    place = int(np.argmax(f1))
    found = logit(np.clip((values[place] + below[place]) / 2, 0.02, 0.98))
    weight = positives / (positives + THRESHOLD_POSITIVES)
    return float(sigmoid(weight * found))


def softmax(values: NDArray[Any]) -> Any:
    """Softmax over the last axis."""
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _platt(logits: Matrix, labels: Labels, columns: list[int]) -> tuple[Vector, Vector]:
    """Slopes and intercepts of yes_no_set columns, drawn towards their pooled fit."""
    if not columns:
        return np.ones(0), np.zeros(0)
    parts = []
    for column in columns:
        known = (labels[:, column] != MISSING) & np.isfinite(logits[:, column])
        values = np.clip(logits[known, column].astype(np.float64), -_LIMIT, _LIMIT)
        parts.append((values, (labels[known, column] == YES).astype(np.float64)))
    pooled = _fit_pair(np.concatenate([v for v, _ in parts]), np.concatenate([t for _, t in parts]), 1.0, 0.0)
    fitted = [_fit_pair(values, truth, *pooled) for values, truth in parts]
    return np.array([slope for slope, _ in fitted]), np.array([intercept for _, intercept in fitted])


def _fit_pair(values: Vector, truth: Vector, slope: float, intercept: float) -> tuple[float, float]:
    """Slope and intercept around a prior mean; the slope is kept above LEAST_SLOPE."""
    design = np.column_stack([values, np.ones_like(values)])
    precision = np.array([SLOPE_PRECISION, INTERCEPT_PRECISION])
    found = fit_logistic(
        design, truth, np.array([slope, intercept]), precision, lowest=np.array([LEAST_SLOPE, -np.inf])
    )
    return float(found[0]), float(found[1])


def _temperature(logits: Matrix, labels: Labels) -> float:
    """Temperature of one question's softmax by penalised maximum likelihood (prior: log T around 0)."""
    known = (labels != MISSING).all(axis=1) & (labels == YES).any(axis=1) & np.isfinite(logits).all(axis=1)
    values = np.clip(logits[known].astype(np.float64), -_LIMIT, _LIMIT)
    given = np.argmax(labels[known], axis=1)

    def loss(log_temperature: float) -> float:
        probability = softmax(values / np.exp(log_temperature))
        chosen = probability[np.arange(len(given)), given]
        return float(-np.log(np.maximum(chosen, 1e-12)).sum() + 0.5 * SLOPE_PRECISION * log_temperature**2)

    return float(np.exp(_golden_minimum(loss, -3.0, 3.0)))


def _golden_minimum(loss: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a unimodal function by golden-section search, to 1e-4."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2
