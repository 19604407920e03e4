"""Consensus on a choose_one question: Dawid and Skene (1979) with a whole confusion matrix per annotator, alone or with a model beside the people.

The same design as `consensus` has for yes and no: EM from the shares of votes, deterministic; confusions drawn towards those of
all annotators; a vote never argues against the answer it names; held-out probabilities of a model, flattened to what the
annotators bear out, in place of the answers' prevalence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax

from models.audit.annotators.consensus import OWN, POOLED, START
from models.audit.annotators.votes import Answers

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

_STEPS = 200
_SETTLED = 1e-5
_EDGE = 0.005
_FLATTEN_EVERY = 5
_LEAST = 1e-3
_EQUAL = 1e-12
_SLOPE_PRECISION, _SHIFT_PRECISION = 4.0, 0.1


@dataclass(frozen=True, slots=True)
class AnswerConsensus:
    """What the annotators say together about one question."""

    probability: Matrix
    """float64 (texts, answers): rows sum to 1; NaN where nobody voted."""
    confusion: NDArray[np.float64]
    """float64 (annotators, true answer, given answer)."""
    model_slope: float | None
    """How far the model's log probabilities were believed, 0 … 1."""
    steps: int

    def chosen(self) -> NDArray[np.int64]:
        """int64 (texts,): the likeliest answer; -1 without votes and where two are equally likely."""
        said = np.nan_to_num(self.probability, nan=0.0)
        top = said.max(axis=1, keepdims=True)
        clear = (top[:, 0] > 0) & ((said > top - _EQUAL).sum(axis=1) == 1)
        return np.where(clear, said.argmax(axis=1), -1).astype(np.int64)


def answer_consensus(answers: Answers, probabilities: NDArray[np.floating] | None = None) -> AnswerConsensus:
    """Fit the consensus.

    Args:
        answers: the annotators' answers.
        probabilities: (texts, answers), held out by models that saw none of a text's labels; NaN where there are none. None: people
            alone.
    """
    votes = answers.counts()
    voted = votes.sum(axis=1) > 0
    by_text = _sums(answers.texts, answers.text_count)
    said = (votes + 0.5) / (votes + 0.5).sum(axis=1, keepdims=True)
    model = None if probabilities is None else _model_logs(probabilities)
    line = np.append(np.zeros(answers.answer_count), 1.0)
    for step in range(1, _STEPS + 1):
        confusion = _confusions(answers, said)
        if model is None:
            start = np.log((said[voted].sum(axis=0) + 1) / (voted.sum() + answers.answer_count))[None]
        else:
            if step % _FLATTEN_EVERY == 1:
                line = _flattened(model[voted], said[voted], line)
            start = line[:-1] + line[-1] * model
        speaks = by_text @ np.log(confusion[answers.annotators, :, answers.chosen])
        after = np.asarray(softmax(start + speaks, axis=1))
        moved = float(np.abs(after - said)[voted].max(initial=0.0))
        said = after
        if moved < _SETTLED:
            break
    slope = None if model is None else float(line[-1])
    return AnswerConsensus(np.asarray(np.where(voted[:, None], said, np.nan)), confusion, slope, step)


def _confusions(answers: Answers, said: Matrix) -> NDArray[np.float64]:
    """Shrunk confusions: float64 (annotators, true, given), every row a distribution."""
    count = answers.answer_count
    gave = (
        _sums(answers.annotators * count + answers.chosen, answers.annotator_count * count)
        @ said[answers.texts]
    )
    gave = gave.reshape(answers.annotator_count, count, count).swapaxes(1, 2)
    off = (1 - START) / max(1, count - 1)
    expected = np.where(np.eye(count, dtype=np.bool_), START, off)
    pooled = gave.sum(axis=0) + POOLED * expected
    pooled /= pooled.sum(axis=1, keepdims=True)
    found = gave + OWN * pooled
    found = np.asarray(np.maximum(found / found.sum(axis=2, keepdims=True), _EDGE / count))
    return _above_guessing(found / found.sum(axis=2, keepdims=True))


def _sums(places: NDArray[np.int64], count: int) -> csr_matrix:
    """Sums rows by their places: (count, rows)."""
    return csr_matrix((np.ones(len(places)), (places, np.arange(len(places)))), shape=(count, len(places)))


def _above_guessing(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise the diagonal until no answer is likelier given where another is true than where it is; the rest of the row gives way."""
    count = confusion.shape[1]
    own = np.diagonal(confusion, axis1=1, axis2=2)
    others = np.where(np.eye(count, dtype=np.bool_), 0.0, confusion).max(axis=1)
    raised = np.minimum(np.maximum(own, others + _EDGE / count), 1 - _EDGE)
    left = (1 - raised) / np.maximum(1 - own, 1e-12)
    found = confusion * left[:, :, None]
    found[:, np.arange(count), np.arange(count)] = raised
    return np.asarray(found)


def _model_logs(probabilities: NDArray[np.floating]) -> Matrix:
    """Log probabilities, the answers' mean where the model says nothing: float64 (texts, answers)."""
    shares = np.clip(probabilities.astype(np.float64), _LEAST, 1.0)
    known: NDArray[np.bool_] = np.asarray(np.isfinite(shares).all(axis=1))
    if not known.any():
        return np.zeros(shares.shape)
    logs = np.log(shares / shares.sum(axis=1, keepdims=True))
    return np.asarray(np.where(known[:, None], logs, logs[known].mean(axis=0)))


def _flattened(model: Matrix, said: Matrix, start: Vector) -> Vector:
    """Shift of every answer and one slope (0 … 1) of the consensus on the model's log probabilities: float64 (answers + 1,)."""

    def loss(line: Vector) -> tuple[float, Vector]:
        values = line[:-1] + line[-1] * model
        missed = softmax(values, axis=1) - said
        behind = line - np.append(np.zeros(len(line) - 1), 1.0)
        precision = np.append(np.full(len(line) - 1, _SHIFT_PRECISION), _SLOPE_PRECISION)
        total = -(said * log_softmax(values, axis=1)).sum() + 0.5 * (precision * behind**2).sum()
        gradient = np.append(missed.sum(axis=0), (missed * model).sum()) + precision * behind
        return float(total), gradient

    bounds = [(None, None)] * (len(start) - 1) + [(0.0, 1.0)]
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
