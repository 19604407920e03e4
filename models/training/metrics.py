"""Metrics of one reading against the labels: per option, macro, micro and per choose_one question.

A missing label is left out everywhere. What is undefined (recall without positives, MCC of a constant) is NaN here and
null in JSON; precision, recall and F1 are 0, not undefined, where there are positives and none was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.scheme import MISSING, YES, Labels, Scheme

ECE_BINS = 10
"""Bins of equal mass for the expected calibration error."""


@dataclass(frozen=True, slots=True)
class OptionMetrics:
    """One option's figures. Counts are rows; the rest are shares, NaN where undefined."""

    support: int
    """Rows with a label."""
    positives: int
    prevalence: float
    always_no: float
    """Accuracy of answering no to everything."""
    accuracy: float
    precision: float
    recall: float
    f1: float
    pr_auc: float
    """Average precision."""
    mcc: float
    ece: float
    """Expected calibration error over ECE_BINS bins of equal mass."""


@dataclass(frozen=True, slots=True)
class QuestionMetrics:
    """Figures of one choose_one question, decided by its most probable option."""

    support: int
    accuracy: float
    majority: float
    """Accuracy of always answering the most frequent option."""
    macro_f1: float
    log_loss: float
    ece: float
    """Expected calibration error of the most probable option's probability."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: given option, columns: decided option, in the question's order."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """All figures of one reading."""

    options: dict[str, OptionMetrics]
    questions: dict[str, QuestionMetrics]
    macro: dict[str, float]
    """Means of every share over options with at least one positive."""
    micro: dict[str, float]
    """accuracy, precision, recall and f1 over all cells together."""
    options_without_positives: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """JSON form; NaN becomes None."""
        document: dict[str, Any] = plain(asdict(self))
        return document


def evaluate(
    labels: Labels, probabilities: NDArray[np.float32], decisions: Labels, scheme: Scheme
) -> Metrics:
    """Metrics of probabilities and decisions against labels.

    Args:
        labels: int8 (rows, options), MISSING where unknown.
        probabilities: float32 (rows, options), NaN where there is none (left out).
        decisions: int8 (rows, options).
        scheme: names the columns and the choose_one questions.
    """
    options = {
        key: option_metrics(labels[:, column], probabilities[:, column], decisions[:, column])
        for column, key in enumerate(scheme.option_keys)
    }
    questions = {
        cell.question: question_metrics(labels[:, cell.positions], probabilities[:, cell.positions])
        for cell in scheme.cells
        if cell.option is None
    }
    empty = tuple(key for key, found in options.items() if not found.positives)
    return Metrics(options, questions, _macro(options), _micro(labels, probabilities, decisions), empty)


def option_metrics(
    labels: NDArray[np.int8], probabilities: NDArray[np.float32], decisions: NDArray[np.int8]
) -> OptionMetrics:
    """Figures of one option; all arrays are (rows)."""
    known = (labels != MISSING) & np.isfinite(probabilities) & (decisions != MISSING)
    truth, said, scores = labels[known] == YES, decisions[known] == YES, probabilities[known]
    support, positives = len(truth), int(truth.sum())
    if not support:
        return OptionMetrics(0, 0, *([float("nan")] * 9))
    tp, fp = int((truth & said).sum()), int((~truth & said).sum())
    fn, tn = positives - tp, support - positives - fp
    return OptionMetrics(
        support=support,
        positives=positives,
        prevalence=positives / support,
        always_no=1 - positives / support,
        accuracy=(tp + tn) / support,
        precision=_ratio(tp, tp + fp, positives),
        recall=_ratio(tp, positives, positives),
        f1=_ratio(2 * tp, 2 * tp + fp + fn, positives),
        pr_auc=average_precision(truth, scores),
        mcc=_mcc(tp, fp, fn, tn),
        ece=calibration_error(truth, scores),
    )


def question_metrics(labels: Labels, probabilities: NDArray[np.float32]) -> QuestionMetrics:
    """Figures of one choose_one question; arrays are (rows, the question's options)."""
    known = (
        (labels != MISSING).all(axis=1) & (labels == YES).any(axis=1) & np.isfinite(probabilities).all(axis=1)
    )
    given, scores = np.argmax(labels[known], axis=1), probabilities[known].astype(np.float64)
    width = labels.shape[1]
    if not len(given):
        nothing = tuple((0,) * width for _ in range(width))
        nan = float("nan")
        return QuestionMetrics(0, nan, nan, nan, nan, nan, nothing)
    decided = np.argmax(scores, axis=1)
    confusion = np.bincount(given * width + decided, minlength=width * width).reshape(width, width)
    right = decided == given
    chosen = scores[np.arange(len(given)), given]
    truth, said, hits = confusion.sum(axis=1), confusion.sum(axis=0), np.diag(confusion)
    f1 = [2 * hits[i] / (truth[i] + said[i]) for i in range(width) if truth[i]]
    return QuestionMetrics(
        support=len(given),
        accuracy=float(right.mean()),
        majority=float(truth.max() / len(given)),
        macro_f1=float(np.mean(f1)),
        log_loss=float(-np.log(np.maximum(chosen, 1e-12)).mean()),
        ece=calibration_error(right, scores.max(axis=1).astype(np.float32)),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def average_precision(truth: NDArray[np.bool_], scores: NDArray[Any]) -> float:
    """Area under the precision-recall curve as average precision; ties share one threshold; NaN without positives."""
    positives = int(truth.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order], np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    precision = hits[last] / (last + 1)
    gained = np.diff(hits[last], prepend=0) / positives
    return float((precision * gained).sum())


def calibration_error(truth: NDArray[np.bool_], scores: NDArray[Any], bins: int = ECE_BINS) -> float:
    """Expected calibration error over bins of equal mass (equal scores may be cut; both halves weigh as they are)."""
    if not len(truth):
        return float("nan")
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [abs(float(scores[part].mean()) - float(truth[part].mean())) * len(part) for part in parts]
    return float(sum(gaps) / len(truth))


def human_f1(first: Labels, second: Labels, option_keys: Sequence[str]) -> dict[str, Any]:
    """Human-human F1 per option where two annotators read the same rows: symmetric, so neither is the truth.

    Args:
        first, second: int8 (rows, options), MISSING where that annotator gave nothing.
        option_keys: names of the columns.
    """
    both = (first != MISSING) & (second != MISSING)
    agreed = ((first == YES) & (second == YES) & both).sum(axis=0)
    said = ((first == YES) & both).sum(axis=0) + ((second == YES) & both).sum(axis=0)
    values = np.where(said > 0, 2 * agreed / np.maximum(said, 1), np.nan)
    rows = both.sum(axis=0)
    per_option = {
        key: {"rows": int(rows[i]), "f1": float(values[i])} for i, key in enumerate(option_keys) if rows[i]
    }
    macro = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    document: dict[str, Any] = plain({"options": per_option, "macro_f1": macro})
    return document


def plain(value: Any) -> Any:
    """A JSON-ready copy: numpy scalars as Python's, tuples as lists, NaN and infinities as None, floats to 6 digits."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value


def _ratio(part: int, whole: int, positives: int) -> float:
    if whole:
        return part / whole
    return 0.0 if positives else float("nan")


def _mcc(tp: int, fp: int, fn: int, tn: int) -> float:
    product = float(tp + fp) * float(tp + fn) * float(tn + fp) * float(tn + fn)
    return (tp * tn - fp * fn) / product**0.5 if product else float("nan")


def _macro(options: dict[str, OptionMetrics]) -> dict[str, float]:
    found = [metrics for metrics in options.values() if metrics.positives]
    names = ("prevalence", "accuracy", "always_no", "precision", "recall", "f1", "pr_auc", "mcc", "ece")
    macro = {}
    for name in names:
        values = [value for value in (getattr(metrics, name) for metrics in found) if np.isfinite(value)]
        # An MCC that is undefined because the reading is constant counts as no association.
        macro[name] = sum(values) / len(found) if found else float("nan")
    return macro


def _micro(labels: Labels, probabilities: NDArray[np.float32], decisions: Labels) -> dict[str, float]:
    known = (labels != MISSING) & np.isfinite(probabilities) & (decisions != MISSING)
    truth, said = labels[known] == YES, decisions[known] == YES
    if not len(truth):
        return dict.fromkeys(("accuracy", "precision", "recall", "f1"), float("nan"))
    tp, positives, claimed = int((truth & said).sum()), int(truth.sum()), int(said.sum())
    return {
        "accuracy": float((truth == said).mean()),
        "precision": _ratio(tp, claimed, positives),
        "recall": _ratio(tp, positives, positives),
        "f1": _ratio(2 * tp, claimed + positives, positives),
    }
