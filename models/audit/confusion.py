"""Annotators: how each one's values differ from what the evidence expects of a typical annotator, and what follows.

A model's probabilities are not the truth, so an annotator's plain confusion against them mixes the annotator's errors with
the model's. Here the confusion is *relative*: what was given in each expected class, over what a typical annotator would
have given there. It is estimated from given values alone, shrunk towards the annotator's habit over all options and that
towards none, and multiplies into the probabilities by Bayes' rule. (Dawid and Skene 1979 with the model as a prior.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.evidence import Annotations
from models.audit.plain import cell_values
from models.scheme import Labels, Scheme

Matrix = NDArray[np.float64]

STRENGTH = 15.0
"""Expected values in a cell of a confusion matrix at which the annotator's own count weighs half."""
_LEAST = 1e-5


@dataclass(frozen=True, slots=True)
class Confusion:
    """Values that each annotator gave in one cell of the scheme, by what the evidence expects."""

    counts: Matrix
    """float64 (annotators, expected value, given value): expected numbers of annotations."""
    expected: Matrix
    """float64 of the same shape: what a typical annotator would have given there."""
    relative: Matrix
    """float64 of the same shape: over a typical annotator, shrunk; 1 is typical."""
    typical: Matrix
    """float64 (expected value, given value): share of given values, all annotators together."""
    habit: tuple[Matrix, Matrix] | None
    """`counts` and `expected` summed over all yes_no cells; None in a choose_one cell."""


def confusions(
    probabilities: NDArray[np.float32], annotations: Annotations, scheme: Scheme
) -> list[Confusion]:
    """The confusion matrices of every cell, from given values alone.

    Args:
        probabilities: float32 (texts, options) that do not rest on the value judged.
        annotations: who gave what.
        scheme: names the cells.
    """
    annotators = int(annotations.annotators.max()) + 1 if len(annotations.annotators) else 0
    seen = [
        _counts(*_values(probabilities, annotations, scheme, place), annotations.annotators, annotators)
        for place in range(len(scheme.cells))
    ]
    options = [pair for pair, cell in zip(seen, scheme.cells, strict=True) if cell.option is not None]
    habit = (
        (np.sum([pair[0] for pair in options], axis=0), np.sum([pair[1] for pair in options], axis=0))
        if options
        else None
    )
    return [
        _confusion(*pair, habit if cell.option is not None else None)
        for pair, cell in zip(seen, scheme.cells, strict=True)
    ]


def after_annotators(
    probabilities: NDArray[np.float32], labels: Labels, annotations: Annotations, scheme: Scheme
) -> NDArray[np.float32]:
    """Probabilities with what each text's annotators are known for: float32 (texts, options).

    A cell that one annotator gave moves only by how that one differs from a typical annotator, so that a single given
    value is not evidence for itself, and that difference is known from the annotator's other annotations of the cell alone
    (`others_alone`); what is left of the value are the fits behind other texts' probabilities. Every further annotator who gave the same value speaks for it, every one who gave
    another speaks against it.
    """
    result = probabilities.copy()
    known = confusions(probabilities, annotations, scheme)
    for place, (cell, confusion) in enumerate(zip(scheme.cells, known, strict=True)):
        _, given = _values(probabilities, annotations, scheme, place)
        speech = _speech(others_alone(confusion, probabilities, annotations, scheme, place), confusion, given)
        found, consensus = cell_values(probabilities, labels, cell)
        logs = np.log(np.clip(found, _LEAST, 1.0))
        np.add.at(logs, annotations.texts, speech)
        # The consensus itself stands for one annotator's word, which may not speak for itself.
        counted = np.bincount(annotations.texts[given.any(axis=1)], minlength=len(labels)) > 0
        logs -= np.where(counted[:, None], consensus.astype(np.float64) @ np.log(confusion.typical).T, 0.0)
        posterior = np.exp(logs - logs.max(axis=1, keepdims=True))
        posterior /= posterior.sum(axis=1, keepdims=True)
        result[:, list(cell.positions)] = posterior[:, 1:] if cell.option is not None else posterior
    return result


def others_alone(
    confusion: Confusion,
    probabilities: NDArray[np.float32],
    annotations: Annotations,
    scheme: Scheme,
    place: int,
) -> Matrix:
    """`Confusion.relative` of each annotation's annotator without that annotation: float64 (annotations, expected, given).

    The annotation is taken out of the annotator's counts and of the habit over all options.
    """
    prior, given = _values(probabilities, annotations, scheme, place)
    own: NDArray[np.bool_] = np.logical_and(given.any(axis=1), np.isfinite(prior).all(axis=1))
    prior = np.where(own[:, None], prior, 0.0)
    chosen = (given & own[:, None]).astype(np.float64)
    counted, expected = np.einsum("nv,ng->nvg", prior, chosen), np.einsum("nv,ng->nvg", prior, prior)
    who = annotations.annotators
    habit = 1.0
    if confusion.habit is not None:
        habit = (confusion.habit[0][who] - counted + STRENGTH) / (
            confusion.habit[1][who] - expected + STRENGTH
        )
    return np.asarray(
        (confusion.counts[who] - counted + STRENGTH * habit) / (confusion.expected[who] - expected + STRENGTH)
    )


def _values(
    probabilities: NDArray[np.float32], annotations: Annotations, scheme: Scheme, place: int
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Expected values, float64 (annotations, values), and given ones, bool of that shape."""
    return cell_values(probabilities[annotations.texts], annotations.values, scheme.cells[place])


def _counts(
    expected: Matrix, given: NDArray[np.bool_], annotators: NDArray[np.int64], count: int
) -> tuple[Matrix, Matrix]:
    """Counted and, for a typical annotator, expected numbers: float64 (annotators, expected, given) each."""
    known = given.any(axis=1) & np.isfinite(expected).all(axis=1)
    who, prior, chosen = annotators[known], expected[known], given[known].astype(np.float64)
    found = np.zeros((2, count, expected.shape[1], expected.shape[1]))
    for annotator in range(count):
        own = who == annotator
        found[0, annotator] = prior[own].T @ chosen[own]
        found[1, annotator] = prior[own].T @ prior[own]
    return found[0], found[1]


def _confusion(counted: Matrix, expected: Matrix, habit: tuple[Matrix, Matrix] | None) -> Confusion:
    drawn = 1.0 if habit is None else (habit[0] + STRENGTH) / (habit[1] + STRENGTH)
    pooled = counted.sum(axis=0) + 1.0
    return Confusion(
        counted,
        expected,
        (counted + STRENGTH * drawn) / (expected + STRENGTH),
        pooled / pooled.sum(axis=1, keepdims=True),
        habit,
    )


def _speech(relative: Matrix, confusion: Confusion, given: NDArray[np.bool_]) -> Matrix:
    """Log likelihood of each annotation under every value: float64 (annotations, values); 0 where nothing was given.

    relative: float64 (annotations, expected, given).
    """
    logs = np.log(relative * confusion.typical)
    return np.asarray(np.einsum("nvg,ng->nv", logs, given.astype(np.float64)))
