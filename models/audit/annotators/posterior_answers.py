"""What the true answers of a choose_one question may be: draws from the posterior, as `posterior` has them for yes and no.

An annotator who is wrong gives one of the other answers by shares of the annotator's own, around those of all annotators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from models.audit.annotators.posterior import APART, BEFORE, DRAWS, OPTION_MEANS, OPTION_SPREADS, settled
from models.audit.annotators.rates import Rates
from models.audit.annotators.votes import Answers
from models.training.logistic import logit, sigmoid

Indices = NDArray[np.int64]
Matrix = NDArray[np.float64]

OWN, EACH = 5.0, 1.0
"""Wrong answers that those of all annotators count for beside one annotator's own, and that each other answer begins with."""
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Answers to texts that two or more answered, those with the same answers put together."""

    texts: Indices
    """int64 (patterns,): how many texts."""
    of: Indices
    """int64 (shared texts,): pattern of each."""
    shared: Indices
    """int64 (shared texts,): rows in the answers' texts."""
    pattern: Indices
    """int64 (votes,): pattern that a vote belongs to."""
    who: Indices
    """int64 (votes,)."""
    chosen: Indices
    """int64 (votes,)."""

    @staticmethod
    def of_answers(answers: Answers, rng: np.random.Generator) -> _Patterns:
        """Texts are told apart by sums of random numbers, one for each annotator and answer."""
        number = np.bincount(answers.texts, minlength=answers.text_count)
        shared = np.flatnonzero(number > 1)
        marks = rng.integers(1, 2**62, size=(answers.annotator_count, answers.answer_count), dtype=np.uint64)
        sums = np.zeros(answers.text_count, dtype=np.uint64)
        np.add.at(sums, answers.texts, marks[answers.annotators, answers.chosen])
        _, first, of, size = np.unique(sums[shared], return_index=True, return_inverse=True, return_counts=True)  # fmt: skip
        place = np.full(answers.text_count, -1, dtype=np.int64)
        place[shared[first]] = np.arange(len(first))
        kept = place[answers.texts] >= 0
        return _Patterns(size, of, shared, place[answers.texts][kept], answers.annotators[kept], answers.chosen[kept])  # fmt: skip


def possible_answers(
    answers: Answers, draws: int = DRAWS, seed: int = 0, before: int = BEFORE, apart: int = APART
) -> Iterator[NDArray[np.int64]]:
    """Draws of the true answers: int64 (texts,) each, -1 where fewer than two answered.

    Args:
        answers: the annotators' answers.
        draws: how many.
        seed: of the sampler.
        before: steps before the first draw.
        apart: steps from one draw to the next.
    """
    rng = np.random.default_rng(seed)
    patterns = _Patterns.of_answers(answers, rng)
    if not len(patterns.texts):
        return
    chain = _Chain(patterns, answers.annotator_count, answers.answer_count, rng)
    for _ in settled(chain.step, draws, before, apart):
        below = np.cumsum(chain.chance(), axis=1)[patterns.of, :-1]
        truth = np.full(answers.text_count, -1, dtype=np.int64)
        truth[patterns.shared] = (rng.random(len(patterns.of))[:, None] > below).sum(axis=1)
        yield truth


class _Chain:
    """The sampler's state. Confusion is float64 (annotators, true answer, given answer)."""

    def __init__(self, patterns: _Patterns, annotators: int, answers: int, rng: np.random.Generator) -> None:
        self._patterns, self._rng, self._shape = patterns, rng, (annotators, answers)
        self._rates = Rates(annotators, answers, OPTION_MEANS[0], OPTION_SPREADS[0], rng)
        votes = np.zeros((len(patterns.texts), answers))
        np.add.at(votes, (patterns.pattern, patterns.chosen), 1.0)
        share = patterns.texts @ votes
        self._expected = np.maximum(share / share.sum(), 1e-3)
        self._learn(patterns.texts[:, None] * votes / votes.sum(axis=1, keepdims=True))

    def step(self) -> None:
        """Truth given confusions, confusions given truth, and what they have in common."""
        truly = self._rng.multinomial(self._patterns.texts, self.chance())
        self._learn(truly.astype(np.float64))
        self._rates.draw_common()

    def chance(self) -> Matrix:
        """Probability of each answer for the texts of each pattern: float64 (patterns, answers), rows sum to 1."""
        patterns = self._patterns
        speaks = np.log(self._confusion)[patterns.who, :, patterns.chosen]
        sums = np.column_stack(
            [np.bincount(patterns.pattern, each, len(patterns.texts)) for each in speaks.T]
        )
        return np.asarray(softmax(np.log(self._prevalence) + sums, axis=1))

    def _learn(self, truly: Matrix) -> None:
        """Draw prevalence and confusions given how many texts of each pattern truly have each answer."""
        annotators, answers = self._shape
        # One text more with the shares of the votes, as for yes and no.
        self._prevalence = np.maximum(self._rng.dirichlet(self._expected + truly.sum(axis=0)), _LEAST)
        place, cells = self._patterns.who * answers + self._patterns.chosen, annotators * answers
        weight = truly[self._patterns.pattern]
        gave = np.stack([np.bincount(place, each, cells).reshape(annotators, answers) for each in weight.T], axis=1).astype(np.float64)  # fmt: skip
        right = np.diagonal(gave, axis1=1, axis2=2)
        self._rates.draw(right, gave.sum(axis=2) - right, logit(1 / max(2, answers)))
        rate = np.asarray(sigmoid(self._rates.values))[:, :, None]
        self._confusion = np.where(np.eye(answers, dtype=np.bool_), rate, (1 - rate) * self._wrong(gave))

    def _wrong(self, gave: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of the other answers where an annotator is wrong, 0 for the right one: float64 (annotators, true, given)."""
        other = ~np.eye(self._shape[1], dtype=np.bool_)
        pooled = self._rng.gamma(gave.sum(axis=0) + EACH) * other + _LEAST
        pooled /= pooled.sum(axis=1, keepdims=True)
        own = self._rng.gamma(gave + OWN * pooled) * other + _LEAST
        return np.asarray(own / own.sum(axis=2, keepdims=True))
