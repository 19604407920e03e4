"""Models fitted without a team: TF-IDF and logistic regression on the other teams' labels judge the team's own, held out.

Every text is read by a fit that saw neither its fold, nor a duplicate of it, nor a label of the team. How often such a model
agrees with a team is set beside how often the models without each other team agree with those, option by option in the team's own
mix: hard options alone make nobody look apart. Intervals by a bootstrap of whole groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.adapters.wide import wide_logits
from models.audit.annotators.overlap import FEWEST
from models.data.embargo import embargo
from models.data.near_duplicates import Signatures
from models.scheme import MISSING, NO, YES, Labels
from models.training.wide import count_vocabulary, fit_wide

Matrix = NDArray[np.float64]
Tell = Callable[[], None]

FEWEST_EACH = 5
"""Yes and no labels of an option, each, below which the others teach nothing of it."""
FEWEST_GROUPS = 10
"""Groups of texts below which there is no interval."""
DRAWS = 1000
LEVEL = 0.95
_DRAWN_AT_ONCE = 50
SMALL = "too small: it settled a label on {own:,} texts, below {fewest}"
LONE = "alone: the others settled a label on {others:,} texts, below {fewest}, too few to fit a model on"


@dataclass(frozen=True, slots=True)
class Heard:
    """Votes of every team, counted: int16 (teams, texts, options) each."""

    yes: NDArray[np.int16]
    no: NDArray[np.int16]

    @staticmethod
    def of(teams: NDArray[np.int64], texts: NDArray[np.int64], values: Labels, shape: tuple[int, int]) -> Heard:  # fmt: skip
        """Count votes.

        Args:
            teams: int64 (rows,), team of each row.
            texts: int64 (rows,), text of each row.
            values: int8 (rows, options).
            shape: number of teams and of texts.
        """
        counted = np.zeros((2, *shape, values.shape[1]), dtype=np.int16)
        for place, value in enumerate((YES, NO)):
            np.add.at(counted[place], (teams, texts), (values == value).astype(np.int16))
        return Heard(counted[0], counted[1])

    def own(self, team: int) -> Labels:
        """The team's majority: int8 (texts, options)."""
        return _majority(self.yes[team], self.no[team])

    def others(self, team: int) -> Labels:
        """The majority of everybody else: int8 (texts, options)."""
        return _majority(self.yes.sum(axis=0) - self.yes[team], self.no.sum(axis=0) - self.no[team])


@dataclass(frozen=True, slots=True)
class Corpus:
    """The texts as models read them."""

    counts: csr_matrix
    """float32 sparse (texts, terms)."""
    folds: NDArray[np.int32]
    """int32 (texts,): whole groups."""
    groups: NDArray[np.int64]
    """int64 (texts,): counted from 0."""
    train: tuple[NDArray[np.bool_], ...]
    """By fold, bool (texts,): other folds without duplicates of a held-out text."""

    @staticmethod
    def of(contents: Sequence[str], groups: Sequence[str], folds: NDArray[np.int32], digests: Sequence[str], signed: Signatures) -> Corpus:  # fmt: skip
        """Count words, and find for every fold what it may learn from."""
        return Corpus(
            count_vocabulary(contents)[1],
            folds,
            np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64),
            tuple(embargo(folds, fold, digests, signed).train for fold in range(int(folds.max()) + 1)),
        )


@dataclass(frozen=True, slots=True)
class Hits:
    """One team judged: cells and how many of them the model says alike, float64 (groups, options) each."""

    hits: Matrix
    cells: Matrix


@dataclass(frozen=True, slots=True)
class Compared:
    """Agreement of the model with a team and of models with the others; NaN where there is none."""

    own: float
    others: float
    low: float
    high: float
    cells: int

    @property
    def difference(self) -> float:
        """Own less others'."""
        return self.own - self.others


def refusal(heard: Heard, team: int) -> str | None:
    """Why no model can judge a team, or None."""
    own = int((heard.own(team) != MISSING).any(axis=1).sum())
    others = int((heard.others(team) != MISSING).any(axis=1).sum())
    if own < FEWEST:
        return SMALL.format(own=own, fewest=FEWEST)
    return LONE.format(others=others, fewest=FEWEST) if others < FEWEST else None


def judge(corpus: Corpus, heard: Heard, team: int, seed: int, tell: Tell) -> Hits:
    """Fit on the others' labels, crossed by fold, and compare with the team's own.

    Args:
        corpus: the texts.
        heard: everybody's votes.
        team: whom the models do without.
        seed: of the solver.
        tell: called before every fit; may raise to stop.
    """
    others, own = heard.others(team), heard.own(team)
    logits = np.full(others.shape, np.nan)
    for fold, allowed in enumerate(corpus.train):
        tell()
        inside = np.flatnonzero(corpus.folds == fold)
        rows = np.flatnonzero(allowed & (others != MISSING).any(axis=1))
        if len(rows):
            fitted = fit_wide(corpus.counts, others, rows, seed)
            logits[inside] = wide_logits(fitted, csr_matrix(corpus.counts[inside]))
    said = _decided(logits, others)
    counted = ((own != MISSING) & (said != MISSING)).astype(np.float64)
    alike = counted * (own == said)
    return Hits(*(_by_group(each, corpus.groups) for each in (alike, counted)))


def compare(judged: dict[int, Hits], team: int, seed: int) -> tuple[Compared, list[Compared]]:
    """A team beside the other judged ones: over all options, and option by option.

    Args:
        judged: by team; `team` among them.
        team: whom to compare.
        seed: of the bootstrap.
    """
    own = judged[team]
    rest = [found for number, found in judged.items() if number != team]
    zeros = np.zeros_like(own.hits)
    parts = (own.hits, own.cells, sum((one.hits for one in rest), zeros), sum((one.cells for one in rest), zeros))  # fmt: skip
    joined = np.concatenate(parts, axis=1)
    drawn = np.vstack([joined.sum(axis=0), _drawn(joined[own.cells.any(axis=1) | parts[3].any(axis=1)], seed)])  # fmt: skip
    hits, cells, other_hits, other_cells = np.split(drawn, 4, axis=1)
    columns = [
        _compared(*(each[:, [option]] for each in (hits, cells, other_hits, other_cells)))
        for option in range(own.hits.shape[1])
    ]
    return _compared(hits, cells, other_hits, other_cells), columns


def _compared(hits: Matrix, cells: Matrix, other_hits: Matrix, other_cells: Matrix) -> Compared:
    """Of sums float64 (1 + draws, options): the options that both sides have, in the team's own mix."""
    both = (cells > 0) & (other_cells > 0)
    weight = np.where(both, cells, 0.0)
    total = weight.sum(axis=1)
    with np.errstate(invalid="ignore"):
        own = np.where(both, hits, 0.0).sum(axis=1) / total
        others = (weight * np.where(both, other_hits / np.maximum(other_cells, 1), 0.0)).sum(axis=1) / total
    apart = (own - others)[1:]
    apart = apart[np.isfinite(apart)]
    ends = np.quantile(apart, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)) if len(apart) else (np.nan, np.nan)
    return Compared(float(own[0]), float(others[0]), float(ends[0]), float(ends[1]), int(total[0]))


def _drawn(sums: Matrix, seed: int) -> Matrix:
    """Sums of groups drawn with replacement: float64 (draws, columns); no draw with too few groups."""
    groups = len(sums)
    if groups < FEWEST_GROUPS:
        return np.zeros((0, sums.shape[1]))
    rng = np.random.default_rng(seed)
    each = np.full(groups, 1 / groups)
    return np.vstack([rng.multinomial(groups, each, size=_DRAWN_AT_ONCE) @ sums for _ in range(DRAWS // _DRAWN_AT_ONCE)])  # fmt: skip


def _decided(logits: Matrix, labels: Labels) -> Labels:
    """Yes for as large a share of texts as the others said yes of theirs: a balanced fit's own threshold says yes too often."""
    found = np.full(logits.shape, MISSING, dtype=np.int8)
    for option in range(logits.shape[1]):
        known = (labels[:, option] != MISSING) & np.isfinite(logits[:, option])
        yes = labels[known, option] == YES
        if min(yes.sum(), (~yes).sum()) < FEWEST_EACH:
            continue
        threshold = np.quantile(logits[known, option], 1 - yes.mean())
        read = np.isfinite(logits[:, option])
        found[read, option] = np.where(logits[read, option] >= threshold, YES, NO)
    return found


def _by_group(values: Matrix, groups: NDArray[np.int64]) -> Matrix:
    sums = csr_matrix((np.ones(len(groups)), (groups, np.arange(len(groups)))), shape=(int(groups.max()) + 1, len(groups)))  # fmt: skip
    return np.asarray(sums @ values)


def _majority(yes: NDArray[np.integer], no: NDArray[np.integer]) -> Labels:
    return np.select([yes > no, no > yes], [YES, NO], MISSING).astype(np.int8)
