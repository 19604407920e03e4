"""Consensus that knows how each annotator errs: Dawid and Skene (1979) per option, and the same with a model beside the people.

EM from the majority's shares, deterministic, blanks left out. Sensitivities and specificities are drawn towards those of all
annotators, so that someone with five texts is not taken for perfect, and never fall below guessing. With held-out
probabilities each text starts from the model's log-odds instead of the prevalence, flattened to what the annotators bear
out (CROWDLAB's idea, Goh, Tkachenko and Mueller 2022, in Raykar's 2010 form, per option). CROWDLAB's own weights compare
annotators with the most common answer; for a rare option nearly everyone falls below "always no" and weighs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.audit.annotators.votes import Votes
from models.scheme import MISSING, NO, YES, Labels
from models.training.logistic import fit_logistic, logit, sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

POOLED, OWN = 10.0, 5.0
"""Votes that the start (.85) counts for beside all annotators together, and that all together count for beside one."""
START = 0.85
_STEPS = 200
_SETTLED = 1e-5
_EDGE = 0.005
_FLATTEN_EVERY = 5


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the annotators say together."""

    probability: Matrix
    """float64 (texts, options): that the true value is yes; NaN where nobody voted."""
    sensitivity: Matrix
    """float64 (annotators, options); those of all together where someone never voted."""
    specificity: Matrix
    vote_odds: Matrix
    """float64 (rows, options): what each vote added to the log-odds; taken away it leaves the others' consensus."""
    model_slope: NDArray[np.float64] | None
    """float64 (options,): how far the model's log-odds were believed, 0 … 1."""
    steps: int

    def labels(self) -> Labels:
        """int8 (texts, options): the likelier value; MISSING without votes and at exactly one half."""
        said = np.nan_to_num(self.probability, nan=0.5)
        return np.select([said > 0.5, said < 0.5], [YES, NO], MISSING).astype(np.int8)


def dawid_skene(votes: Votes, probabilities: NDArray[np.floating] | None = None) -> Consensus:
    """Fit the consensus.

    Args:
        votes: the annotators' values.
        probabilities: (texts, options), held out by models that saw none of a text's labels; NaN where there are none. None: people
            alone.
    """
    odds = None if probabilities is None else _model_odds(probabilities)
    fits = [
        _fit(_Option.of(votes, option), None if odds is None else odds[:, option])
        for option in range(votes.options)
    ]
    slopes = None if odds is None else np.array([fit.line[1] for fit in fits])
    sensitivity, specificity = (
        np.column_stack(each) for each in zip(*(fit.rates for fit in fits), strict=True)
    )
    for_yes, for_no = _likelihoods(sensitivity, specificity)
    added = votes.yes * for_yes[votes.annotators] + votes.no * for_no[votes.annotators]
    said = np.column_stack([fit.said for fit in fits])
    return Consensus(said, sensitivity, specificity, added, slopes, max(fit.steps for fit in fits))


@dataclass(frozen=True, slots=True)
class _Option:
    """The votes on one option as sparse sums, and the two steps of EM on them."""

    yes: csr_matrix
    """(annotators, texts), 1 where the vote is yes."""
    no: csr_matrix
    yes_by_text: csr_matrix
    """Its transpose."""
    no_by_text: csr_matrix
    voted: NDArray[np.bool_]
    """bool (texts,)."""
    shared: NDArray[np.bool_]
    """bool (texts,): two votes or more. A single vote cannot tell rarely missed from often missed; counted in, it would confirm
    whatever is believed, and rare options drift away."""
    share: float
    """Of yes among the votes."""

    @staticmethod
    def of(votes: Votes, option: int) -> _Option:
        """The votes on an option."""
        shape = (votes.annotator_count, votes.text_count)
        sums = []
        for value in (YES, NO):
            rows = votes.values[:, option] == value
            places = (votes.annotators[rows], votes.texts[rows])
            sums.append(csr_matrix((np.ones(int(rows.sum())), places), shape=shape))
        yes, no = sums
        yes_by_text, no_by_text = csr_matrix(yes.T), csr_matrix(no.T)
        counted = np.diff(yes_by_text.indptr) + np.diff(no_by_text.indptr)
        share = yes.sum() / max(1, counted.sum())
        return _Option(yes, no, yes_by_text, no_by_text, counted > 0, counted > 1, float(share))

    def majority(self) -> Vector:
        """Shares of yes to begin with, drawn a little to that of all votes: float64 (texts,)."""
        yes, no = np.diff(self.yes_by_text.indptr), np.diff(self.no_by_text.indptr)
        return np.asarray(np.where(self.voted, (yes + self.share) / (yes + no + 1), 0.5))

    def prevalence(self, said: Vector) -> float:
        """Mean probability over texts with votes, one text of each value added."""
        return float((said[self.voted].sum() + 1) / (self.voted.sum() + 2))

    def rates(self, said: Vector) -> tuple[Vector, Vector]:
        """Sensitivity and specificity of every annotator: float64 (annotators,) each.

        They start where as many yes votes are wrong as yes are missed: the share of yes is that of the votes then.
        """
        truth = np.where(self.shared, said, 0.0)
        other = np.where(self.shared, 1.0 - said, 0.0)
        wrong_yes = (1 - START) * min(1.0, self.share / max(1 - self.share, _EDGE))
        sensitivity = _shrunk(self.yes @ truth, self.no @ truth, START)
        specificity = _shrunk(self.no @ other, self.yes @ other, 1 - wrong_yes)
        return np.maximum(sensitivity, 1 - specificity + _EDGE), specificity

    def odds(self, rates: tuple[Vector, Vector]) -> Vector:
        """What the votes add to the log-odds of each text: float64 (texts,)."""
        for_yes, for_no = _likelihoods(*rates)
        return np.asarray(self.yes_by_text @ for_yes + self.no_by_text @ for_no)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One option's consensus."""

    said: Vector
    """float64 (texts,); NaN without votes."""
    rates: tuple[Vector, Vector]
    line: Vector
    """Intercept and slope on the model's log-odds."""
    steps: int


def _fit(option: _Option, odds: Vector | None) -> _Fit:
    said, line = option.majority(), np.array([0.0, 1.0])
    for step in range(1, _STEPS + 1):
        rates = option.rates(said)
        if odds is None:
            start = logit(option.prevalence(said), 1e-4)
        else:
            if step % _FLATTEN_EVERY == 1:
                line = _flattened(odds[option.shared], said[option.shared])
            start = line[0] + line[1] * odds
        after = np.asarray(sigmoid(start + option.odds(rates)))
        moved = float(np.abs(after - said)[option.voted].max(initial=0.0))
        said = after
        if moved < _SETTLED:
            break
    return _Fit(np.asarray(np.where(option.voted, said, np.nan)), rates, line, step)


def _shrunk(hits: Vector, misses: Vector, start: float) -> Vector:
    pooled = (hits.sum() + POOLED * start) / (hits.sum() + misses.sum() + POOLED)
    return np.asarray(np.clip((hits + OWN * pooled) / (hits + misses + OWN), _EDGE, 1 - _EDGE))


def _likelihoods(sensitivity: Matrix, specificity: Matrix) -> tuple[Matrix, Matrix]:
    """Log likelihood ratios of a yes and of a no, in the shape of the rates."""
    return np.log(sensitivity / (1 - specificity)), np.log((1 - sensitivity) / specificity)


def _model_odds(probabilities: NDArray[np.floating]) -> Matrix:
    """Log-odds, the option's mean where the model says nothing."""
    odds = np.asarray(logit(probabilities.astype(np.float64), 1e-3))
    known = np.isfinite(odds)
    means = np.where(known, odds, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, odds, means)


def _flattened(odds: Vector, said: Vector) -> Vector:
    """Intercept and slope (0 … 1) of the consensus on the model's log-odds: float64 (2,)."""
    prior = np.array([0.0, 1.0])
    if len(odds) < 2:
        return prior
    design = np.column_stack([np.ones(len(odds)), odds])
    found = fit_logistic(design, said, prior, np.array([1.0, 4.0]))
    return np.array([found[0], np.clip(found[1], 0.0, 1.0)])
