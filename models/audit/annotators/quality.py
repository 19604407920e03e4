"""Quality of annotators and teams: the share of their votes that is right by the consensus, shrunk hierarchically, with intervals.

An annotator's share is Beta around the team's, the team's Beta around all teams' (a beta-binomial hierarchy; Gelman et al., Bayesian
Data Analysis, chapter 5). All of it is summed over grids: no sampling, the same numbers every time. What is right is itself only
probable, so counts are reduced to the information that is left of them (Louis 1982), and cells of one text are not independent,
so they are divided by their design effect (Kish 1965).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import betainc, betaln, logsumexp

from models.audit.annotators.consensus import Consensus
from models.audit.annotators.votes import Votes, counts
from models.scheme import NO, YES
from models.training.logistic import sigmoid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LEVEL = 0.95
_MEANS = np.asarray(sigmoid(np.linspace(-3.0, 7.0, 81)))
_STRENGTHS = np.geomspace(2.0, 1000.0, 8)
_POINTS = np.asarray(sigmoid(np.linspace(-5.0, 9.0, 500)))
_LIGHTEST = 1e-5
_LEAST_KNOWN = 0.05


@dataclass(frozen=True, slots=True)
class Quality:
    """A rate with its interval. `overlaps` cells were voted on by somebody else, too."""

    value: float
    low: float
    high: float
    right: float
    overlaps: int


@dataclass(frozen=True, slots=True)
class Right:
    """How many votes of each annotator are right by the consensus; float64 (annotators,) each."""

    right: Vector
    """Expected number."""
    overlaps: Vector
    """Votes on cells that somebody else voted on, too; others are left out."""
    information: Vector
    """How many votes with known truth would tell as much as these."""


def right_votes(votes: Votes, consensus: Consensus, options: NDArray[np.int64] | None = None) -> Right:
    """Count the right votes over some options, or over all."""
    columns = np.arange(votes.options) if options is None else options
    yes, no = counts(votes)
    shared = (yes + no)[votes.texts][:, columns] > 1
    counted = (np.isin(votes.values[:, columns], (YES, NO)) & shared).astype(np.float64)
    said = np.nan_to_num(consensus.probability[votes.texts][:, columns], nan=0.5)
    each = np.where(votes.values[:, columns] == YES, said, 1 - said)
    return right_by(each, counted, votes.annotators, votes.annotator_count)


def right_by(each: Matrix, counted: Matrix, raters: NDArray[np.int64], rater_count: int) -> Right:
    """Sums of right votes by whoever cast them: annotators, or annotators in one period.

    Args:
        each: float64 (rows, cells), probability that the row's vote on the cell is right.
        counted: float64 (rows, cells), 1 where there is a vote that counts.
        raters: int64 (rows,), counted from 0.
        rater_count: how many there are.
    """
    sums = csr_matrix((np.ones(len(raters)), (raters, np.arange(len(raters)))), shape=(rater_count, len(raters)))  # fmt: skip
    each = counted * each
    right, overlaps = sums @ each.sum(axis=1), sums @ counted.sum(axis=1)
    rate = right / np.maximum(overlaps, 1)
    binomial = np.maximum(overlaps * rate * (1 - rate), 1e-9)
    unknown = sums @ (each * (counted - each)).sum(axis=1)
    known = np.clip(1 - unknown / binomial, _LEAST_KNOWN, 1.0)
    off = each - counted * rate[raters][:, None]
    alone = (off**2).sum()
    effect = max(1.0, float((off.sum(axis=1) ** 2).sum() / alone)) if alone > 0 else 1.0
    return Right(right, overlaps, overlaps * known / effect)


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes to be counted under many draws of the truth, by whoever cast them: what `right_by` gives where each is right or wrong."""

    counted: NDArray[np.bool_]
    """bool (cells, rows): votes that count."""
    raters: NDArray[np.int64]
    """int64 (rows,), counted from 0."""
    each: Vector
    """float64 (rows,): votes of the row that count."""
    overlaps: Matrix
    """float64 (cells, raters): votes that count."""

    @staticmethod
    def of(counted: NDArray[np.bool_], raters: NDArray[np.int64], rater_count: int) -> Tally:
        """Of such votes."""
        overlaps = _by_rater(counted, raters, rater_count)
        return Tally(counted, raters, counted.sum(axis=0).astype(np.float64), overlaps)

    def right(self, right: NDArray[np.bool_]) -> Right:
        """Over all cells. right: bool (cells, rows), never true where a vote does not count."""
        row = right.sum(axis=0).astype(np.float64)
        overlaps, count = self.overlaps.sum(axis=0), self.overlaps.shape[1]
        total: Vector = np.bincount(self.raters, row, count).astype(np.float64)
        rate = total / np.maximum(overlaps, 1)
        alone = (overlaps * rate * (1 - rate)).sum()
        off = row - self.each * rate[self.raters]
        effect = max(1.0, float(off @ off / alone)) if alone > 0 else 1.0
        return Right(total, overlaps, overlaps / effect)

    def by_cell(self, right: NDArray[np.bool_]) -> list[Right]:
        """Cell by cell; cells of other texts do not clump."""
        found = _by_rater(right, self.raters, self.overlaps.shape[1])
        return [Right(*each) for each in zip(found, self.overlaps, self.overlaps, strict=True)]


def _by_rater(marked: NDArray[np.bool_], raters: NDArray[np.int64], count: int) -> Matrix:
    """How many are marked, by cell and rater: float64 (cells, raters)."""
    return np.stack([np.bincount(raters[row], minlength=count) for row in marked]).astype(np.float64)


def imputed(found: Sequence[Right]) -> Right:
    """One count out of several, each by another draw of what the truth may be (Rubin 1987).

    Between draws shares vary for what is not known of the truth; that variance is added to each draw's own, and the information
    is what would leave as much.
    """
    overlaps = found[0].overlaps
    shares = np.stack([each.right for each in found]) / np.maximum(overlaps, 1)
    information = np.mean([each.information for each in found], axis=0)
    share = shares.mean(axis=0)
    # One vote more of each kind: where no draw found an error, errors are still possible.
    rounded = (share * information + 1) / (information + 2)
    between = (1 + 1 / len(found)) * (shares.var(axis=0, ddof=1) if len(found) > 1 else 0.0)
    left = 1 / (1 / np.maximum(information, 1e-9) + between / (rounded * (1 - rounded)))
    return Right(share * overlaps, overlaps, np.where(information > 0, left, 0.0))


def hierarchy(
    found: Right, teams: NDArray[np.int64], level: float = LEVEL
) -> tuple[list[Quality], list[Quality]]:
    """Quality of every annotator and of every team.

    Args:
        found: counts.
        teams: int64 (annotators,), counted from 0; all 0 where there are none.
        level: coverage of the intervals.
    """
    right = found.right / np.maximum(found.overlaps, 1) * found.information
    wrong = found.information - right
    weights = _team_posteriors(_team_likelihood(right, wrong, teams))
    tails = ((1 - level) / 2, 0.5, (1 + level) / 2)
    annotators = [
        _quality(
            _mixture(weights[team], right[k], wrong[k]), _POINTS, tails, found.right[k], found.overlaps[k]
        )
        for k, team in enumerate(teams)
    ]
    team_count = int(teams.max()) + 1
    sums = [np.bincount(teams, each, team_count) for each in (found.right, found.overlaps)]
    return annotators, [
        _quality(np.cumsum(weights[team].sum(axis=0)), _MEANS, tails, sums[0][team], sums[1][team])
        for team in range(team_count)
    ]


def _team_likelihood(right: Vector, wrong: Vector, teams: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log likelihood of each team's annotators: float64 (strengths, means, teams)."""
    up = (_STRENGTHS[:, None] * _MEANS)[..., None]
    down = (_STRENGTHS[:, None] * (1 - _MEANS))[..., None]
    each = betaln(up + right, down + wrong) - betaln(up, down)
    summed = np.zeros((len(_STRENGTHS), len(_MEANS), int(teams.max()) + 1))
    for annotator, team in enumerate(teams):
        summed[:, :, team] += each[:, :, annotator]
    return summed


def _team_posteriors(likelihood: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Weights over (strength within the team, team mean), the teams' own distribution summed out: one float64 (strengths, means) a team."""
    up = _STRENGTHS[:, None, None] * _MEANS[None, :, None]
    down = _STRENGTHS[:, None, None] * (1 - _MEANS)[None, :, None]
    around = up * np.log(_MEANS) + down * np.log1p(-_MEANS)
    around -= logsumexp(around, axis=2, keepdims=True)
    top = likelihood.max(axis=(0, 1))
    scaled = np.exp(likelihood - top)
    prior = np.exp(around).reshape(-1, len(_MEANS))
    evidence = np.log(np.maximum(np.einsum("pm,smt->spt", prior, scaled), 1e-300))
    hyper = evidence.sum(axis=2)
    hyper = np.exp(hyper - logsumexp(hyper))
    found = []
    for team in range(likelihood.shape[2]):
        carried = np.einsum("sp,pm->sm", hyper / np.exp(evidence[:, :, team]), prior)
        weights = carried * scaled[:, :, team]
        found.append(weights / weights.sum())
    return found


def _mixture(weights: NDArray[np.float64], right: float, wrong: float) -> Vector:
    """Distribution function at the grid points of an annotator's rate, over what the team may be."""
    strength, mean = np.nonzero(weights > _LIGHTEST * weights.max())
    up = _STRENGTHS[strength] * _MEANS[mean] + right
    down = _STRENGTHS[strength] * (1 - _MEANS[mean]) + wrong
    heavy = weights[strength, mean] / weights[strength, mean].sum()
    return np.asarray(heavy @ betainc(up[:, None], down[:, None], _POINTS))


def _quality(
    distribution: Vector, points: Vector, tails: tuple[float, float, float], right: float, overlaps: float
) -> Quality:
    low, middle, high = (float(np.interp(tail, distribution, points)) for tail in tails)
    return Quality(middle, low, high, float(right), int(overlaps))
