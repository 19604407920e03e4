"""Annotators' shares of right votes where no text has a third vote, beside texts that three read: do the intervals cover?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.claims_drawing import share
from models.audit.annotators.posterior import possible_truths
from models.audit.annotators.quality import Tally, hierarchy, imputed
from models.audit.annotators.votes import Votes
from models.training.logistic import sigmoid

OPTIONS = 6
POSSIBLE = 40
"""Truths drawn, as by the service."""


@dataclass(frozen=True, slots=True)
class Case:
    """A team; each text is read by some of it."""

    people: int
    texts: int
    readers: int
    yes: float = 0.2


CASES = (
    Case(2, 600, 2), Case(2, 600, 2, 0.05), Case(3, 300, 2), Case(3, 300, 2, 0.05), Case(5, 600, 2), Case(3, 200, 3),
    Case(5, 200, 3),
)  # fmt: skip


def third_vote(draws: int, seed: int) -> dict[str, Any]:
    """Every case."""
    times = max(2, draws // 10)
    print(
        f"\n## Annotators' shares of right votes, one team, {OPTIONS} options, careless people being careless on each: {times:,} draws a row; goal .95"
    )
    print("| people | texts | votes a text | yes | coverage | mean width |\n|---|---|---|---|---|---|")
    return {
        "rows": [_row(case, times, np.random.default_rng([seed, 61, at])) for at, case in enumerate(CASES)]
    }


def _row(case: Case, times: int, rng: np.random.Generator) -> dict[str, Any]:
    covered, width = [], []
    for _ in range(times):
        skill = rng.normal(1.8, 0.5) + rng.normal(0, 0.5, case.people)
        sees, calm = np.asarray(sigmoid(skill - 0.5)), np.asarray(sigmoid(skill + 1))
        votes = _votes(case, sees, calm, rng)
        tally = Tally.of(np.ones((OPTIONS, len(votes.texts)), dtype=np.bool_), votes.annotators, case.people)
        possible = possible_truths(votes, draws=POSSIBLE, seed=int(rng.integers(2**31)))
        right = [tally.right(((votes.values == 1) == truth[votes.texts]).T) for truth in possible]
        people, _ = hierarchy(imputed(right), np.zeros(case.people, dtype=np.int64))
        true = case.yes * sees + (1 - case.yes) * calm
        covered += [one.low <= value <= one.high for one, value in zip(people, true, strict=True)]
        width += [one.high - one.low for one in people]
    row = {"people": case.people, "texts": case.texts, "readers": case.readers, "yes": case.yes,
           "coverage": share(covered), "width": share(width)}  # fmt: skip
    print(
        f"| {case.people} | {case.texts} | {case.readers} | {case.yes:.0%} | {row['coverage']:.3f} | {row['width']:.3f} |",
        flush=True,
    )
    return row


def _votes(case: Case, sees: np.ndarray, calm: np.ndarray, rng: np.random.Generator) -> Votes:
    truth = rng.random((case.texts, OPTIONS)) < case.yes
    who = np.argsort(rng.random((case.texts, case.people)), axis=1)[:, : case.readers].ravel()
    texts = np.repeat(np.arange(case.texts), case.readers)
    chance = np.where(truth[texts], sees[who, None], 1 - calm[who, None])
    return Votes(texts, who, (rng.random(chance.shape) < chance).astype(np.int8), case.texts, case.people)
