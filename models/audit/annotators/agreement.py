"""Agreement between annotators per option: Cohen's kappa by pair, Fleiss' kappa, Krippendorff's alpha, with bootstrap by text.

Cohen (1960); Fleiss (1971), for texts with differing numbers of annotators; Krippendorff (2004), nominal, held against
the library `krippendorff` by a test. A text drawn again counts with all its votes; texts with the same votes are one kind, so that a bootstrap of texts
is a multinomial draw of kinds (Efron and Tibshirani 1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.audit.annotators.votes import Votes, counts
from models.scheme import NO, YES

Counts = NDArray[np.float64]
"""float64 (…, kinds): how many texts of each kind of votes."""

DRAWS = 1000
FEWEST_PAIR = 50
"""Shared texts below which a pair's kappa is not given."""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """An agreement coefficient with a 95 % percentile interval; NaN where votes never vary or texts are too few."""

    value: float
    low: float
    high: float
    texts: int


@dataclass(frozen=True, slots=True)
class PairKappa:
    """Cohen's kappa of two annotators on one option."""

    first: int
    second: int
    kappa: Coefficient


@dataclass(frozen=True, slots=True)
class OptionAgreement:
    """Agreement on one option."""

    fleiss: Coefficient
    alpha: Coefficient
    percent: float
    """Share of pairs of votes on one text that agree."""
    pairs: tuple[PairKappa, ...]


def agreement(votes: Votes, option: int, draws: int = DRAWS, seed: int = 0) -> OptionAgreement:
    """Every coefficient of one option; pairs in the order of annotators, those that share at least one text."""
    rng = np.random.default_rng(seed)
    yes, no = (every[:, option] for every in counts(votes))
    several = yes + no >= 2
    kinds, number = np.unique(np.column_stack([yes, no])[several], axis=0, return_counts=True)
    drawn = _resampled(number.astype(np.float64), draws, rng)
    alphas = _alpha(kinds, drawn)
    same = (kinds * (kinds - 1)).sum(axis=1) @ number
    every = (kinds.sum(axis=1) * (kinds.sum(axis=1) - 1)) @ number
    texts = int(several.sum())
    return OptionAgreement(
        _coefficient(_fleiss(kinds, drawn), texts),
        _coefficient(alphas, texts),
        float(same / every) if every else float("nan"),
        _pairs(votes, option, draws, rng),
    )


def cohen(table: Counts) -> NDArray[np.float64]:
    """Cohen's kappa of 2×2 tables: float64 (…).

    Args:
        table: float64 (…, 4), texts on which both said yes, the first alone, the second alone, neither.
    """
    total = np.maximum(table.sum(axis=-1), 1e-300)
    both, first, second, neither = np.moveaxis(table, -1, 0) / total
    by_chance = (both + first) * (both + second) + (neither + first) * (neither + second)
    agreed = both + neither
    varies = (by_chance < 1) & (table.sum(axis=-1) > 0)
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
    """Krippendorff's nominal alpha for two values under each draw of kinds of texts: float64 (draws,)."""
    if not len(kinds):
        return np.full(len(drawn), np.nan)
    votes = kinds.sum(axis=1)
    apart = drawn @ (2 * kinds[:, 0] * kinds[:, 1] / (votes - 1))
    yes, no = (drawn @ kinds).T
    total = yes + no
    expected = 2 * yes * no / (total - 1)
    varies = expected > 0
    return np.asarray(np.where(varies, 1 - apart / np.where(varies, expected, 1.0), np.nan))


def _beyond_chance(observed: NDArray[np.float64], by_chance: NDArray[np.float64]) -> NDArray[np.float64]:
    varies = by_chance < 1 - 1e-12
    return np.asarray(np.where(varies, (observed - by_chance) / np.where(varies, 1 - by_chance, 1.0), np.nan))


def _resampled(number: NDArray[np.float64], draws: int, rng: np.random.Generator) -> Counts:
    """The texts themselves, then draws of as many: float64 (1 + draws, kinds)."""
    total = int(number.sum())
    if not total:
        return np.zeros((1 + draws, len(number)))
    return np.vstack([number, rng.multinomial(total, number / total, size=draws)]).astype(np.float64)


def _coefficient(values: NDArray[np.float64], texts: int) -> Coefficient:
    """The first value with the percentiles of the others."""
    defined = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]) or len(defined) * 2 < max(1, len(values) - 1):
        return Coefficient(float(values[0]), float("nan"), float("nan"), texts)
    low, high = np.quantile(defined, (0.025, 0.975))
    return Coefficient(float(values[0]), float(low), float(high), texts)


def _pairs(votes: Votes, option: int, draws: int, rng: np.random.Generator) -> tuple[PairKappa, ...]:
    said = np.zeros((votes.annotator_count, votes.text_count), dtype=np.int8)
    cast = np.isin(votes.values[:, option], (YES, NO))
    said[votes.annotators[cast], votes.texts[cast]] = np.where(votes.values[cast, option] == YES, 1, -1)
    yes, no = (said > 0).astype(np.float32), (said < 0).astype(np.float32)
    tables = np.stack([yes @ yes.T, yes @ no.T, no @ yes.T, no @ no.T], axis=-1).astype(np.float64)
    return tuple(
        PairKappa(first, second, _pair(tables[first, second], draws, rng))
        for first in range(votes.annotator_count)
        for second in range(first + 1, votes.annotator_count)
        if tables[first, second].sum()
    )


def _pair(table: Counts, draws: int, rng: np.random.Generator) -> Coefficient:
    texts = int(table.sum())
    if texts < FEWEST_PAIR:
        return Coefficient(float("nan"), float("nan"), float("nan"), texts)
    return _coefficient(cohen(_resampled(table, draws, rng)), texts)
