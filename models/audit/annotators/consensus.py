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

from models.audit.annotators.votes import Votes, counts
from models.estimates.weighted_logistic import fit_weighted
from models.scheme import MISSING, NO, YES, Labels
from models.training.logistic import logit, sigmoid

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
    yes_count, no_count = counts(votes)
    voted = (yes_count + no_count) > 0
    said = np.where(voted, (yes_count + 0.5) / (yes_count + no_count + 1), 0.5)
    odds = None if probabilities is None else _model_odds(probabilities)
    lines = None if odds is None else np.tile([0.0, 1.0], (votes.options, 1))
    fit = _Fit(votes)
    for step in range(1, _STEPS + 1):
        sensitivity, specificity = fit.rates(said)
        if odds is None or lines is None:
            start = np.tile(logit(fit.prevalence(said, voted), 1e-4), (votes.text_count, 1))
        else:
            if step % _FLATTEN_EVERY == 1:
                lines = _flattened(odds, said, voted)
            start = lines[:, 0] + lines[:, 1] * odds
        added = fit.vote_odds(sensitivity, specificity)
        after = np.asarray(sigmoid(start + fit.by_text @ added))
        moved = float(np.abs(after - said)[voted].max(initial=0.0))
        said = after
        if moved < _SETTLED:
            break
    slope = None if lines is None else lines[:, 1]
    return Consensus(np.where(voted, said, np.nan), sensitivity, specificity, added, slope, step)


class _Fit:
    """The votes as sparse sums, and the two steps of EM on them."""

    def __init__(self, votes: Votes) -> None:
        self._yes, self._no = votes.yes, votes.no
        self._texts, self._annotators = votes.texts, votes.annotators
        self.by_text, self._by_annotator = votes.by_text(), votes.by_annotator()

    def prevalence(self, said: Matrix, voted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Mean probability over texts with votes, one text of each value added: float64 (options,)."""
        return np.asarray(((said * voted).sum(axis=0) + 1) / (voted.sum(axis=0) + 2))

    def rates(self, said: Matrix) -> tuple[Matrix, Matrix]:
        """Sensitivity and specificity of every annotator and option."""
        truth = said[self._texts]
        sensitivity = self._shrunk(self._yes * truth, self._no * truth)
        specificity = self._shrunk(self._no * (1 - truth), self._yes * (1 - truth))
        return np.maximum(sensitivity, 1 - specificity + _EDGE), specificity

    def _shrunk(self, right: Matrix, wrong: Matrix) -> Matrix:
        hits, misses = self._by_annotator @ right, self._by_annotator @ wrong
        pooled = (hits.sum(axis=0) + POOLED * START) / (hits.sum(axis=0) + misses.sum(axis=0) + POOLED)
        return np.asarray(np.clip((hits + OWN * pooled) / (hits + misses + OWN), _EDGE, 1 - _EDGE))

    def vote_odds(self, sensitivity: Matrix, specificity: Matrix) -> Matrix:
        """Log likelihood ratio of every vote: float64 (rows, options), 0 where there is none."""
        for_yes = np.log(sensitivity / (1 - specificity))[self._annotators]
        for_no = np.log((1 - sensitivity) / specificity)[self._annotators]
        return np.asarray(self._yes * for_yes + self._no * for_no)


def _model_odds(probabilities: NDArray[np.floating]) -> Matrix:
    """Log-odds, the option's mean where the model says nothing."""
    odds = np.asarray(logit(probabilities.astype(np.float64), 1e-3))
    known = np.isfinite(odds)
    means = np.where(known, odds, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, odds, means)


def _flattened(odds: Matrix, said: Matrix, voted: NDArray[np.bool_]) -> Matrix:
    """Intercept and slope (0 … 1) of the consensus on the model's log-odds: float64 (options, 2)."""
    lines = np.tile([0.0, 1.0], (odds.shape[1], 1))
    for option in range(odds.shape[1]):
        rows = voted[:, option]
        if rows.sum() < 2:
            continue
        design = np.column_stack([np.ones(rows.sum()), odds[rows, option]])
        fit = fit_weighted(
            design, said[rows, option], np.ones(len(design)), np.array([0.0, 1.0]), np.array([0.1, 4.0])
        )
        lines[option] = fit.coefficients[0], np.clip(fit.coefficients[1], 0.0, 1.0)
    return lines
