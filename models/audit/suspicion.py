"""Suspicion: how little the given value of a cell is to be expected, judged by everything but that value itself.

A stacked model per option predicts the given value from the held-out probabilities of all options, the text's *other*
given options, the texts beside it and similar texts elsewhere. It is crossed by groups, so that no cell is judged by a
model that learned from it or from its group. It is fitted around the held-out probability itself: what the rest adds has
to be shown by the data, and a rare option keeps what the adapter said. Two readings are averaged in logits, one with the
text's other given options and one without: an annotator who swapped two options made both cells agree with each other.
(Measured on OPP-115, ECHR with flipped cells and the synthetic letters: a boosted model beside them added nothing.)
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
from models.training.logistic import fit_logistic, logit, sigmoid

__all__ = ["Evidence", "Suspicion", "flagged", "score", "self_confidence", "text_scores"]

Matrix = NDArray[np.float64]

FEWEST = 5
"""Positives (and negatives) below which an option keeps its held-out probability."""
CROSSING = 5
"""Parts by group that the stacked model is crossed over, or as many as there are groups."""
PRECISION = 15.0
"""Prior precision of each coefficient, for features of unit spread: around 1 for the option's own logit, 0 for the rest."""
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

    With a single group nothing can be crossed: the plain self-confidence is returned, and named as such.
    """
    distinct = len(set(evidence.groups))
    parameters: dict[str, Any] = {"seed": seed, "crossing": min(CROSSING, distinct), "precision": PRECISION}
    if distinct < 2:
        plain = self_confidence(evidence.probabilities, evidence.labels, evidence.scheme)
        return Suspicion(plain, "self_confidence", parameters)
    features = _features(evidence, seed)
    folds = assign_folds(evidence.groups, min(CROSSING, distinct), seed)
    stacked = evidence.probabilities.copy()
    kept: list[str] = []
    for column, key in enumerate(evidence.scheme.option_keys):
        known, found = _read_option(evidence, features, folds, column)
        if found is None:
            kept.append(key)
        else:
            stacked[known, column] = sigmoid(found)
    scores = self_confidence(stacked, evidence.labels, evidence.scheme)
    return Suspicion(
        scores, "stacked", parameters | {"kept_as_predicted": kept, "features": sorted(features)}
    )


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


def _read_option(
    evidence: Evidence, features: dict[str, Matrix], folds: NDArray[np.int32], column: int
) -> tuple[NDArray[np.bool_], Matrix | None]:
    """Rows that can be read, bool (texts), and their stacked logits; None where values are too few to learn from."""
    given = evidence.labels[:, column]
    known = np.isfinite(evidence.probabilities[:, column]) & np.isin(given, (NO, YES))
    truth = (given[known] == YES).astype(np.float64)
    if min(truth.sum(), (1 - truth).sum()) < FEWEST:
        return known, None
    alone = _design(features, column, [])[known]
    others = _other_options(evidence.scheme, column)
    designs = [alone, _design(features, column, others)[known]] if others else [alone]
    return known, np.mean([_crossed(design, truth, folds[known]) for design in designs], axis=0)


def _other_options(scheme: Scheme, column: int) -> list[int]:
    """Options whose given values may speak: not the option itself, nor the rest of its choose_one question."""
    barred = {column}
    for cell in scheme.cells:
        if column in cell.positions:
            barred.update(cell.positions)
    return [other for other in range(len(scheme.options)) if other not in barred]


def _design(features: dict[str, Matrix], column: int, others: Sequence[int]) -> Matrix:
    """Features of one option, its own logit first: its column of every block but what was given, all other logits, and
    the given values of `others`."""
    own = [block[:, [column]] for name, block in features.items() if name not in {"given", "logits"}]
    rest = np.delete(features["logits"], column, axis=1)
    return np.hstack([features["logits"][:, [column]], *own, rest, features["given"][:, list(others)]])


def _crossed(design: Matrix, truth: NDArray[np.float64], folds: NDArray[np.int32]) -> Matrix:
    """Logits of each row by a fit on the other parts: float64 (rows)."""
    centre, spread = design.mean(axis=0), design.std(axis=0) + 1e-6
    centre[0], spread[0] = 0.0, 1.0  # the held-out logit keeps its meaning
    scaled = np.column_stack([(design - centre) / spread, np.ones(len(truth))]).astype(np.float32)
    prior, precision = np.zeros(scaled.shape[1]), np.full(scaled.shape[1], PRECISION)
    prior[0], precision[-1] = 1.0, 1.0
    result = np.empty(len(truth))
    start: NDArray[np.float64] | None = None
    for part in np.unique(folds):
        train = folds != part
        # The optimum is one and the same wherever the search begins; the last part's is merely near.
        start = fit_logistic(scaled[train], truth[train], prior, precision, start=start)
        result[~train] = scaled[~train] @ start
    return result
