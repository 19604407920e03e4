"""Agreement between annotators per option or choose_one question: Cohen's kappa by pair, Fleiss' kappa, Krippendorff's alpha, with intervals by text.

Cohen (1960); Fleiss (1971), for texts with differing numbers of annotators; Krippendorff (2004), nominal, held against
the library `krippendorff` by a test. Texts are weighed anew at random with all their votes (Bayesian bootstrap, Rubin 1981), those with the
same votes being one kind, together with two texts that nobody read: one with any answer twice, one with any two answers. A bootstrap of the texts alone
knows nothing of what it has not seen: where nobody differed it gives 1.00 to 1.00, and where few give the rarer answer it holds .24 to .92 (`remand bench claims --parts agreement`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.audit.annotators.votes import Answers, Votes, yes_no_answers

Counts = NDArray[np.float64]
"""float64 (…, kinds): how many texts of each kind of votes."""

DRAWS = 1000
ALIKE, APART = 1.0, 1.0
"""Texts that nobody read, with two answers alike and with two apart: half a text for each of the four pairs of yes and no (Jeffreys 1946)."""
FEWEST_PAIR = 50
"""Shared texts below which a pair's kappa is not given."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """An agreement coefficient with a 95 % interval; NaN where votes never vary or texts are too few."""

    value: float
    low: float
    high: float
    texts: int


@dataclass(frozen=True, slots=True)
class PairKappa:
    """Cohen's kappa of two annotators."""

    first: int
    second: int
    kappa: Coefficient


@dataclass(frozen=True, slots=True)
class OptionAgreement:
    """Agreement on one option, or on one choose_one question."""

    fleiss: Coefficient
    alpha: Coefficient
    percent: float
    """Share of pairs of votes on one text that agree."""
    pairs: tuple[PairKappa, ...]


def agreement(votes: Votes, option: int, draws: int = DRAWS, seed: int = 0) -> OptionAgreement:
    """Every coefficient of one option."""
    return agreement_on(yes_no_answers(votes, option), draws, seed)


def agreement_on(answers: Answers, draws: int = DRAWS, seed: int = 0) -> OptionAgreement:
    """Every coefficient of an option or a question; pairs in the order of annotators, those that share at least one text."""
    rng = np.random.default_rng(seed)
    said = answers.counts()
    seen, number = np.unique(said[said.sum(axis=1) >= 2], axis=0, return_counts=True)
    same = (seen * (seen - 1)).sum(axis=1) @ number
    every = (seen.sum(axis=1) * (seen.sum(axis=1) - 1)) @ number
    texts = int(number.sum())
    kinds, drawn = _with_unseen(seen, number, draws, rng)
    return OptionAgreement(
        _coefficient(_fleiss(kinds, drawn), texts),
        _coefficient(_alpha(kinds, drawn), texts),
        float(same / every) if every else float("nan"),
        _pairs(answers, draws, rng),
    )


def cohen(table: Counts) -> NDArray[np.float64]:
    """Cohen's kappa of square tables: float64 (…).

    Args:
        table: float64 (…, answers²), texts by the first one's answer and within it the second one's; of two answers (…, 4): both
            yes, the first alone, the second alone, neither.
    """
    answers = math.isqrt(table.shape[-1])
    total = np.maximum(table.sum(axis=-1), 1e-300)
    shares = (table / total[..., None]).reshape(*table.shape[:-1], answers, answers)
    by_chance = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    agreed = np.trace(shares, axis1=-2, axis2=-1)
    varies = (by_chance < 1 - 1e-12) & (table.sum(axis=-1) > 0)
    return np.asarray(np.where(varies, (agreed - by_chance) / np.where(varies, 1 - by_chance, 1.0), np.nan))


def _fleiss(kinds: NDArray[np.int64], drawn: Counts) -> NDArray[np.float64]:
    """Fleiss' kappa under each draw of kinds of texts: float64 (draws,)."""
    if not len(kinds):
        return np.full(len(drawn), np.nan)
    votes = kinds.sum(axis=1)
    agreed = (kinds * (kinds - 1)).sum(axis=1) / (votes * (votes - 1))
    observed = drawn @ agreed / drawn.sum(axis=1)
    share = drawn @ kinds / (drawn @ votes)[:, None]
    return _beyond_chance(observed, (share**2).sum(axis=1))


def _alpha(kinds: NDArray[np.int64], drawn: Counts) -> NDArray[np.float64]:
    """Krippendorff's nominal alpha under each draw of kinds of texts, int64 (kinds, answers): float64 (draws,)."""
    if not len(kinds):
        return np.full(len(drawn), np.nan)
    votes = kinds.sum(axis=1)
    apart = drawn @ ((votes**2 - (kinds**2).sum(axis=1)) / (votes - 1))
    by_answer = drawn @ kinds
    total = by_answer.sum(axis=1)
    expected = (total**2 - (by_answer**2).sum(axis=1)) / (total - 1)
    varies = expected > 0
    return np.asarray(np.where(varies, 1 - apart / np.where(varies, expected, 1.0), np.nan))


def _beyond_chance(observed: NDArray[np.float64], by_chance: NDArray[np.float64]) -> NDArray[np.float64]:
    varies = by_chance < 1 - 1e-12
    return np.asarray(np.where(varies, (observed - by_chance) / np.where(varies, 1 - by_chance, 1.0), np.nan))


def _with_unseen(
    seen: NDArray[np.int64], number: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Counts]:
    """Kinds of votes with those of two unread texts behind, and how many texts each is: the texts themselves, then draws of as many."""
    if not len(seen):
        return seen, np.zeros((1 + draws, 0))
    one = np.eye(seen.shape[1], dtype=np.int64)
    pairs = (one[:, None] + one[None]).reshape(-1, seen.shape[1])
    unseen = _unseen(seen.shape[1])
    return np.vstack([seen, pairs]), _reweighed(
        np.append(number, np.zeros(len(pairs))), np.append(np.zeros(len(number)), unseen), draws, rng
    )


def _unseen(answers: int) -> Counts:
    """How much each pair of answers weighs unseen, by the first and within it the second: float64 (answers²,)."""
    apart = np.full((answers, answers), APART / max(1, answers * (answers - 1)))
    np.fill_diagonal(apart, ALIKE / answers)
    return apart.ravel()


def _reweighed(number: Counts, unseen: Counts, draws: int, rng: np.random.Generator) -> Counts:
    """How many texts of each kind: as counted, then gamma weights of counted and unseen ones, brought to as many: float64 (1 + draws, kinds)."""
    drawn = rng.standard_gamma(number + unseen, size=(draws, len(number)))
    return np.vstack([number, drawn * (number.sum() / drawn.sum(axis=1, keepdims=True))])


def _coefficient(values: NDArray[np.float64], texts: int) -> Coefficient:
    """The first value with the percentiles of the others, which are drawn out to hold it."""
    value, defined = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not len(defined):
        return Coefficient(value, float("nan"), float("nan"), texts)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Coefficient(value, min(float(low), value), max(float(high), value), texts)


def _pairs(answers: Answers, draws: int, rng: np.random.Generator) -> tuple[PairKappa, ...]:
    people, kinds = answers.annotator_count, answers.answer_count
    said = csr_matrix(
        (np.ones(len(answers.texts)), (answers.annotators * kinds + answers.chosen, answers.texts)),
        shape=(people * kinds, answers.text_count),
    )
    tables = (said @ said.T).toarray().reshape(people, kinds, people, kinds).swapaxes(1, 2)
    tables = tables.reshape(people, people, kinds * kinds)
    return tuple(
        PairKappa(first, second, _pair(tables[first, second], draws, rng))
        for first in range(people)
        for second in range(first + 1, people)
        if tables[first, second].sum()
    )


def _pair(table: Counts, draws: int, rng: np.random.Generator) -> Coefficient:
    texts = int(table.sum())
    if texts < FEWEST_PAIR:
        return Coefficient(float("nan"), float("nan"), float("nan"), texts)
    return _coefficient(cohen(_reweighed(table, _unseen(math.isqrt(len(table))), draws, rng)), texts)
