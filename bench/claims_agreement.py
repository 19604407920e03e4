"""Agreement between annotators: do the intervals of kappa and alpha cover where answers are rare, nobody differs, or people leave texts out?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.claims_drawing import share
from models.audit.annotators.agreement import agreement_on, cohen
from models.audit.annotators.votes import Answers

Vector = NDArray[np.float64]
BOOTSTRAP = 300
"""Draws of each interval."""
MANY = 60_000
"""Texts that the alpha of people without a closed form is taken from."""


@dataclass(frozen=True, slots=True)
class Two:
    """Two people who answer yes or no, each by themselves, alike in what they see."""

    texts: int
    yes: float
    """Share of texts whose true answer is yes."""
    sensitivity: float
    specificity: float

    @property
    def kappa(self) -> float:
        """Of the population; alpha is the same, for both give yes equally often."""
        return float(cohen(np.array(self._pairs())))

    def _pairs(self) -> list[float]:
        both = self.yes * self.sensitivity**2 + (1 - self.yes) * (1 - self.specificity) ** 2
        each = self.yes * self.sensitivity + (1 - self.yes) * (1 - self.specificity)
        return [both, each - both, each - both, 1 - 2 * each + both]

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """int64 (2, texts): 0 yes, 1 no."""
        true = rng.random(self.texts) < self.yes
        chance = np.where(true, self.sensitivity, 1 - self.specificity)
        return (rng.random((2, self.texts)) >= chance).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Several:
    """People who answer one of several, guess where they do not see, and leave a fifth of the texts out."""

    people: int
    texts: int
    answers: tuple[float, ...]
    """How often each is true."""
    right: float

    def draw(self, texts: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """int64 (people, texts): -1 left out."""
        true = rng.choice(len(self.answers), texts, p=self.answers)
        seen = rng.random((self.people, texts)) < self.right
        said = np.where(seen, true, rng.integers(len(self.answers), size=(self.people, texts)))
        return np.where(rng.random((self.people, texts)) < 0.8, said, -1)


TWO = (
    Two(60, 0.01, 0.9, 0.995), Two(60, 0.05, 0.9, 0.99), Two(60, 0.3, 0.9, 0.95), Two(60, 0.3, 0.99, 0.99),
    Two(200, 0.01, 0.9, 0.999), Two(200, 0.02, 0.9, 0.995), Two(200, 0.3, 0.9, 0.95), Two(500, 0.01, 0.9, 0.995),
    Two(500, 0.05, 0.9, 0.99), Two(1000, 0.005, 0.8, 0.999),
)  # fmt: skip
SEVERAL = (
    Several(3, 60, (0.6, 0.2, 0.1, 0.06, 0.04), 0.85), Several(2, 60, (0.9, 0.04, 0.03, 0.02, 0.01), 0.95),
    Several(4, 80, (0.97, 0.03), 0.97), Several(2, 100, (0.05,) * 20, 0.9),
)  # fmt: skip


def agreement(draws: int, seed: int) -> dict[str, Any]:
    """Both tables."""
    times = draws
    print(f"\n## Agreement of two people, yes or no: {times:,} draws a row; goal .95")
    print(
        "| texts | true yes | Se, Sp | kappa | draws without a value | alpha covers | Cohen's kappa covers | bootstrap of the texts alone | nobody differed: draws, mean lower end |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    two = [_two(case, times, np.random.default_rng([seed, 11, place])) for place, case in enumerate(TWO)]
    print(f"\n## Agreement of several, a fifth of the texts left out: {times:,} draws a row")
    print("| people | texts | answers | alpha | draws without a value | alpha covers | mean width |")
    print("|---|---|---|---|---|---|---|")
    several = [
        _several(case, times, np.random.default_rng([seed, 12, place])) for place, case in enumerate(SEVERAL)
    ]
    return {"two": two, "several": several}


def _two(case: Two, times: int, rng: np.random.Generator) -> dict[str, Any]:
    kappa, lows = case.kappa, []
    covers: dict[str, list[bool]] = {"alpha": [], "cohen": [], "bootstrap": []}
    for _ in range(times):
        said = case.draw(rng)
        found = agreement_on(_answers(said, 2), BOOTSTRAP, int(rng.integers(2**31)))
        if not np.isfinite(found.alpha.low):
            continue
        pair = found.pairs[0].kappa
        covers["alpha"].append(found.alpha.low <= kappa <= found.alpha.high)
        covers["cohen"].append(pair.low <= kappa <= pair.high)
        covers["bootstrap"].append(_alone(said, kappa, rng))
        if (said[0] == said[1]).all():
            lows.append(found.alpha.low)
    row = {"texts": case.texts, "yes": case.yes, "sensitivity": case.sensitivity, "specificity": case.specificity,
           "kappa": kappa, "undefined": times - len(covers["alpha"]), "nobody": len(lows), "low": share(lows),
           **{name: share(each) for name, each in covers.items()}}  # fmt: skip
    print(
        f"| {case.texts:,} | {case.yes:.1%} | {case.sensitivity}, {case.specificity} | {kappa:.2f} | {row['undefined']} | {row['alpha']:.3f} | "
        f"{row['cohen']:.3f} | {row['bootstrap']:.3f} | {row['nobody']}, {row['low']:.2f} |",
        flush=True,
    )
    return row


def _alone(said: NDArray[np.int64], kappa: float, rng: np.random.Generator) -> bool:
    """Whether the percentiles of texts drawn with replacement hold it: what is usually done."""
    table = np.bincount(2 * said[0] + said[1], minlength=4)
    drawn = cohen(rng.multinomial(said.shape[1], table / table.sum(), size=BOOTSTRAP).astype(np.float64))
    low, high = np.quantile(drawn[np.isfinite(drawn)], (0.025, 0.975))
    return bool(low <= kappa <= high)


def _several(case: Several, times: int, rng: np.random.Generator) -> dict[str, Any]:
    count = len(case.answers)
    true = agreement_on(_answers(case.draw(MANY, rng), count), 1).alpha.value
    covered, width = [], []
    for _ in range(times):
        found = agreement_on(
            _answers(case.draw(case.texts, rng), count), BOOTSTRAP, int(rng.integers(2**31))
        ).alpha
        if np.isfinite(found.low):
            covered.append(found.low <= true <= found.high)
            width.append(found.high - found.low)
    row = {"people": case.people, "texts": case.texts, "answers": count, "alpha": true,
           "undefined": times - len(covered), "coverage": share(covered), "width": share(width)}  # fmt: skip
    print(
        f"| {case.people} | {case.texts} | {count} | {true:.2f} | {row['undefined']} | {row['coverage']:.3f} | {row['width']:.2f} |",
        flush=True,
    )
    return row


def _answers(said: NDArray[np.int64], count: int) -> Answers:
    """Of int64 (people, texts), -1 being no answer."""
    who, text = np.nonzero(said >= 0)
    return Answers(text, who, said[who, text], said.shape[1], said.shape[0], count)
