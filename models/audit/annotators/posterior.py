"""What the true values may be: draws from the posterior of Dawid and Skene's model, for intervals that know the consensus is a guess.

A Gibbs sampler over texts that two or more read, with hierarchical sensitivities and specificities (`rates`); nobody is worse than
guessing. Texts with the same votes on an option are drawn together: a binomial number of them is truly yes. (Multiple
imputation: Rubin 1987.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.annotators.rates import Rates
from models.audit.annotators.votes import Votes, counts
from models.scheme import NO, YES
from models.training.logistic import logit, sigmoid

Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

DRAWS, APART, BEFORE = 40, 5, 150
"""Draws that are kept, steps from one to the next, and steps before the first."""
OPTION_MEANS, OPTION_SPREADS = (1.7, 3.0), (1.0, 1.5)
"""Log-odds of sensitivity and specificity that are expected of an option, and how far options may lie from it."""


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Votes of shared texts, those with the same votes on an option put together."""

    texts: Indices
    """int64 (patterns,): how many texts."""
    option: Indices
    """int64 (patterns,)."""
    of: Indices
    """int64 (shared texts, options): pattern of each text, -1 where fewer than two voted."""
    pattern: Indices
    """int64 (votes,): pattern that a vote belongs to."""
    who: Indices
    """int64 (votes,): annotator · options + option."""
    yes: NDArray[np.bool_]
    """bool (votes,)."""
    shared: Indices
    """int64 (shared texts,): rows in the votes' texts."""

    @staticmethod
    def of_votes(votes: Votes, rng: np.random.Generator) -> _Patterns:
        """Texts are told apart by sums of random numbers, one for each annotator and value."""
        yes, no = counts(votes)
        shared = np.flatnonzero((yes + no > 1).any(axis=1))
        place = np.full(votes.text_count, -1, dtype=np.int64)
        place[shared] = np.arange(len(shared))
        rows = np.flatnonzero(place[votes.texts] >= 0)
        text, who, values = place[votes.texts[rows]], votes.annotators[rows], votes.values[rows]
        marks = rng.integers(1, 2**62, size=(2, votes.annotator_count), dtype=np.uint64)
        of = np.full((len(shared), votes.options), -1, dtype=np.int64)
        found: list[tuple[Indices, Indices, Indices, Indices, NDArray[np.bool_]]] = []
        begun = 0
        for option in range(votes.options):
            cast = np.isin(values[:, option], (YES, NO)) & ((yes + no)[shared, option] > 1)[text]
            said = values[cast, option] == YES
            sums = np.zeros(len(shared), dtype=np.uint64)
            np.add.at(sums, text[cast], np.where(said, marks[0, who[cast]], marks[1, who[cast]]))
            used = (yes + no)[shared, option] > 1
            _, first, numbers, size = np.unique(sums[used], return_index=True, return_inverse=True, return_counts=True)  # fmt: skip
            of[used, option] = numbers + begun
            example = np.flatnonzero(used)[first]
            known = np.full(len(shared), -1, dtype=np.int64)
            known[example] = np.arange(len(example)) + begun
            kept = known[text[cast]] >= 0
            found.append((size, np.full(len(size), option), known[text[cast]][kept], who[cast][kept] * votes.options + option, said[kept]))  # fmt: skip
            begun += len(size)
        joined = [np.concatenate(each) for each in zip(*found, strict=True)]
        return _Patterns(joined[0], joined[1], of, joined[2], joined[3], joined[4].astype(np.bool_), shared)


def possible_truths(
    votes: Votes, draws: int = DRAWS, seed: int = 0, before: int = BEFORE, apart: int = APART
) -> Iterator[NDArray[np.bool_]]:
    """Draws of what is truly yes: bool (texts, options) each, False where fewer than two voted.

    Args:
        votes: the annotators' values.
        draws: how many.
        seed: of the sampler.
        before: steps before the first draw.
        apart: steps from one draw to the next.
    """
    rng = np.random.default_rng(seed)
    patterns = _Patterns.of_votes(votes, rng)
    if not len(patterns.texts):
        return
    chain = _Chain(patterns, votes.annotator_count, votes.options, rng)
    for _ in settled(chain.step, draws, before, apart):
        told = np.append(chain.chance(), 0.0)[patterns.of]
        truth = np.zeros((votes.text_count, votes.options), dtype=np.bool_)
        truth[patterns.shared] = rng.random(told.shape) < told
        yield truth


def settled(step: Callable[[], None], draws: int, before: int, apart: int) -> Iterator[None]:
    """Take a sampler's steps, and stop where a draw is due: after `before` steps and one, then after every `apart`."""
    for number in range(before + draws * apart):
        step()
        if number >= before and (number - before) % apart == 0:
            yield


class _Chain:
    """The sampler's state."""

    def __init__(self, patterns: _Patterns, annotators: int, options: int, rng: np.random.Generator) -> None:
        self._patterns, self._rng, self._shape = patterns, rng, (annotators, options)
        votes = patterns.texts[patterns.pattern].astype(np.float64)
        yes = np.bincount(patterns.pattern, patterns.yes, len(patterns.texts))
        truly = np.round(patterns.texts * yes / np.bincount(patterns.pattern, minlength=len(patterns.texts)))
        self._rates = tuple(
            Rates(annotators, options, mean, spread, rng)
            for mean, spread in zip(OPTION_MEANS, OPTION_SPREADS, strict=True)
        )
        self._draw_rates(truly)
        option = patterns.option[patterns.pattern]
        said = np.bincount(option, votes * patterns.yes, options) / np.maximum(
            np.bincount(option, votes, options), 1
        )
        self._expected = np.clip(said, 1e-3, 1 - 1e-3)
        self._prevalence = self._drawn_prevalence(truly)

    def step(self) -> None:
        """Truth given rates, rates given truth, and what rates have in common given the rates."""
        truly = self._rng.binomial(self._patterns.texts, self.chance()).astype(np.float64)
        self._draw_rates(truly)
        self._prevalence = self._drawn_prevalence(truly)
        for rates in self._rates:
            rates.draw_common()

    def chance(self) -> Vector:
        """Probability that the texts of each pattern are truly yes: float64 (patterns,)."""
        patterns = self._patterns
        sensitivity, specificity = (np.asarray(sigmoid(each.values)).ravel() for each in self._rates)
        for_yes = np.log(sensitivity / (1 - specificity))[patterns.who]
        for_no = np.log((1 - sensitivity) / specificity)[patterns.who]
        said = np.where(patterns.yes, for_yes, for_no)
        sums = np.bincount(patterns.pattern, said, len(patterns.texts))
        return np.asarray(sigmoid(logit(self._prevalence, 1e-6)[patterns.option] + sums))

    def _drawn_prevalence(self, truly: Vector) -> Vector:
        options = self._shape[1]
        yes = np.bincount(self._patterns.option, truly, options)
        every = np.bincount(self._patterns.option, self._patterns.texts, options)
        # One text more with the share of the votes: evenly divided it would put a missed yes into every rare option.
        return np.asarray(self._rng.beta(self._expected + yes, 1 - self._expected + every - yes))

    def _draw_rates(self, truly: Vector) -> None:
        patterns, size = self._patterns, self._shape[0] * self._shape[1]
        for kind, number in enumerate((truly, patterns.texts - truly)):
            weight = number[patterns.pattern]
            right = patterns.yes if kind == 0 else ~patterns.yes
            hits = np.bincount(patterns.who, weight * right, size).reshape(self._shape)
            misses = np.bincount(patterns.who, weight * ~right, size).reshape(self._shape)
            self._rates[kind].draw(
                hits.astype(np.float64), misses.astype(np.float64), -self._rates[1 - kind].values
            )
