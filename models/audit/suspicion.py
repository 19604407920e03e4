"""Suspicion: how little the given value of a cell is to be expected, judged by everything but that value itself.

A stacked model per option predicts the given value from the held-out probabilities of all options, the text's *other*
given options, the texts beside it and similar texts elsewhere. It is crossed by groups, so that no cell is judged by a
model that learned from it or from its group. Three readings are averaged in logits: a linear one without the other given
options (an annotator who swapped two options made both cells agree with each other), a linear one with them, and a
boosted one without. Options with too few positives for that keep the held-out probability as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.audit.neighbours import adjacent, label_rates
from models.audit.ranking import flagged, text_scores
from models.data.folds import assign_folds
from models.data.near_duplicates import Signatures
from models.scheme import MISSING, NO, YES, Cell, Labels, Scheme
from models.training.calibration import logit, sigmoid

__all__ = ["Evidence", "Suspicion", "flagged", "score", "self_confidence", "text_scores"]

Matrix = NDArray[np.float64]

FEWEST = 10
"""Positives (and negatives) below which an option keeps its held-out probability."""
CROSSING = 3
"""Parts by group that the stacked model is crossed over."""
_STRENGTH = 0.1
_BOOSTED_ROWS = 10_000
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the suspicion of a run's cells is judged by. Rows are texts, in one order throughout."""

    probabilities: NDArray[np.float32]
    """Held-out, calibrated: float32 (texts, options); a row is NaN where no model has not seen the text."""
    labels: Labels
    """Given values: int8 (texts, options)."""
    scheme: Scheme
    groups: Sequence[str]
    """Group of each text, the same grouping that the folds were split by."""
    order: Sequence[int] | None = None
    """Place of each text in its group, where texts beside each other belong together (paragraphs, segments)."""
    embeddings: NDArray[np.floating] | None = None
    """float16 or float32 (texts, dim), for the labels of similar texts."""
    signatures: Signatures | None = None
    """uint32 (texts, permutations); keeps duplicates out of the similar texts."""
    wide_logits: NDArray[np.float32] | None = None
    """Held-out TF-IDF logits, float32 (texts, options)."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Suspicion of every cell and how it was computed."""

    scores: NDArray[np.float32]
    """float32 (texts, cells) in `Scheme.cells` order, 0 … 1; NaN where the cell has no given value or no held-out
    probability."""
    method: str
    parameters: dict[str, Any]


def self_confidence(
    probabilities: NDArray[np.float32], labels: Labels, scheme: Scheme
) -> NDArray[np.float32]:
    """1 minus the probability of the given value: float32 (texts, cells), NaN where not audited.

    The plain score that any other has to beat (Northcutt et al. 2021).
    """
    return np.column_stack([_cell_scores(probabilities, labels, cell) for cell in scheme.cells])


def score(evidence: Evidence, seed: int = 0) -> Suspicion:
    """The stacked suspicion of every cell.

    With fewer than CROSSING groups nothing can be crossed, and the plain self-confidence is returned and named as such.
    """
    options = len(evidence.scheme.options)
    distinct = len(set(evidence.groups))
    parameters: dict[str, Any] = {"seed": seed, "crossing": CROSSING, "fewest": FEWEST}
    if distinct < CROSSING:
        plain = self_confidence(evidence.probabilities, evidence.labels, evidence.scheme)
        return Suspicion(plain, "self_confidence", {**parameters, "groups": distinct})
    features = _features(evidence, seed)
    folds = assign_folds(evidence.groups, CROSSING, seed)
    stacked = evidence.probabilities.astype(np.float64)
    kept: list[str] = []
    for column in range(options):
        found = _stacked_logits(evidence, features, folds, column, seed)
        if found is None:
            kept.append(evidence.scheme.option_keys[column])
        else:
            rows, values = found
            stacked[rows, column] = sigmoid(values)
    scores = self_confidence(stacked.astype(np.float32), evidence.labels, evidence.scheme)
    parameters |= {"not_stacked": kept, "features": sorted(features)}
    return Suspicion(scores, "stacked", parameters)


def _cell_scores(probabilities: NDArray[np.float32], labels: Labels, cell: Cell) -> NDArray[np.float32]:
    """1 - P(given) of one cell: float32 (texts). A choose_one question's probabilities are made to sum to one."""
    columns = list(cell.positions)
    given, found = labels[:, columns], probabilities[:, columns].astype(np.float64)
    if cell.option is not None:
        right = np.where(given[:, 0] == YES, found[:, 0], 1 - found[:, 0])
        audited = np.isin(given[:, 0], (NO, YES))
    else:
        total = found.sum(axis=1)
        right = (found * (given == YES)).sum(axis=1) / np.where(total > 0, total, 1.0)
        audited = (given == YES).any(axis=1)
    return np.where(audited, 1 - right, np.nan).astype(np.float32)


def _features(evidence: Evidence, seed: int) -> dict[str, Matrix]:
    """Blocks of evidence, each float64 (texts, options): what is known of every option of every text."""
    logits = np.nan_to_num(logit(evidence.probabilities.astype(np.float64), _LEAST))
    given = np.where(evidence.labels == MISSING, 0.0, np.where(evidence.labels == YES, 1.0, -1.0))
    blocks = {"logits": logits, "given": given}
    if evidence.wide_logits is not None:
        blocks["wide"] = np.nan_to_num(np.clip(evidence.wide_logits.astype(np.float64), -10, 10))
    if evidence.embeddings is not None:
        rates = label_rates(evidence.embeddings, evidence.labels, evidence.groups, evidence.signatures, seed)
        blocks["similar"] = logit(rates.astype(np.float64), 0.01)
    if evidence.order is not None:
        before, after = adjacent(evidence.groups, evidence.order)
        for name, rows in (("before", before), ("after", after)):
            blocks[f"{name}_logits"] = _taken(logits, rows)
            blocks[f"{name}_given"] = _taken(given, rows)
    return blocks


def _taken(values: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Rows of another text, zero where there is none (-1)."""
    return np.where(rows[:, None] >= 0, values[rows], 0.0)


def _design(features: dict[str, Matrix], column: int, others: Sequence[int]) -> Matrix:
    """Features of one option: its own column of every block but its own given value, and all logits.

    `others` are the options whose given values may be used; never the option itself nor one of its choose_one question.
    """
    own = [block[:, [column]] for name, block in features.items() if name != "given"]
    rest = np.delete(features["logits"], column, axis=1)
    return np.hstack([*own, rest, features["given"][:, list(others)]])


def _stacked_logits(
    evidence: Evidence, features: dict[str, Matrix], folds: NDArray[np.int32], column: int, seed: int
) -> tuple[NDArray[np.int64], Matrix] | None:
    """Rows and logits of one option's stacked model, None where it has too few positives or negatives."""
    readable = np.isfinite(evidence.probabilities).all(axis=1)
    known = readable & np.isin(evidence.labels[:, column], (NO, YES))
    truth = evidence.labels[:, column] == YES
    rarest = min(
        min(int(truth[rows].sum()), int((~truth[rows]).sum()))
        for rows in (known & (folds != part) for part in range(CROSSING))
    )
    if rarest < FEWEST:
        return None
    question = evidence.scheme.question_of(evidence.scheme.option_keys[column])
    barred = {column}
    if any(cell.option is None and column in cell.positions for cell in evidence.scheme.cells):
        barred |= {option.position for option in question.options}
    others = [other for other in range(evidence.labels.shape[1]) if other not in barred]
    alone = _design(features, column, [])
    designs = [alone] if not others else [alone, _design(features, column, others)]
    result = np.zeros(len(truth))
    for part in range(CROSSING):
        train, test = known & (folds != part), known & (folds == part)
        if test.any():
            found = [_linear(design[train], truth[train], design[test]) for design in designs]
            found.append(_boosted(alone[train], truth[train], alone[test], seed))
            result[test] = np.mean(found, axis=0)
    rows = np.flatnonzero(known)
    return rows, result[rows]


def _linear(train: Matrix, truth: NDArray[np.bool_], test: Matrix) -> Matrix:
    from sklearn.linear_model import LogisticRegression

    centre, spread = train.mean(axis=0), train.std(axis=0) + 1e-6
    model = LogisticRegression(C=_STRENGTH, solver="newton-cholesky", max_iter=50)
    model.fit((train - centre) / spread, truth)
    found: Matrix = model.decision_function((test - centre) / spread)
    return found


def _boosted(train: Matrix, truth: NDArray[np.bool_], test: Matrix, seed: int) -> Matrix:
    from sklearn.ensemble import HistGradientBoostingClassifier

    if len(train) > _BOOSTED_ROWS:
        rows = np.random.default_rng(seed).choice(len(train), _BOOSTED_ROWS, replace=False)
        train, truth = train[rows], truth[rows]
    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.08, max_leaf_nodes=6, max_bins=63, l2_regularization=5.0, early_stopping=False,
        random_state=seed,
    )  # fmt: skip
    model.fit(train, truth)
    return np.asarray(logit(model.predict_proba(test)[:, 1], _LEAST))
