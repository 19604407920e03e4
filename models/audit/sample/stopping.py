"""When reviewing may stop: a fresh blind sample of the frozen remainder, tested exactly, at declared looks only.

H₀: more than `claim` texts of the remainder U are wrong. With k wrong ones among n read without replacement, the p-value is
hypergeom.cdf(k; |U|, claim + 1, n). K looks that are declared beforehand share α (Bonferroni). Testing whenever one likes
instead stops falsely many times as often. Skipped texts count as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

MOST_LOOKS = 5
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class StoppingPlan:
    """What is declared before the first look."""

    claim: int
    """Stop only when at most so many wrong texts are left."""
    looks: int = 1
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        """Refuse what could not be certified.

        Raises:
            ValueError: looks outside 1 … 5, a negative claim, alpha outside 0 … 1.
        """
        if not 1 <= self.looks <= MOST_LOOKS:
            raise ValueError(f"{self.looks} looks; 1 to {MOST_LOOKS} can be declared")
        if self.claim < 0 or not 0 < self.alpha < 1:
            raise ValueError("the claim must be 0 or more and alpha between 0 and 1")

    @property
    def alpha_per_look(self) -> float:
        """What each look may spend."""
        return self.alpha / self.looks


@dataclass(frozen=True, slots=True)
class Look:
    """One look's outcome."""

    stop: bool
    p_value: float
    certified: int
    """The smallest number of wrong texts left that this look alone certifies, at its share of alpha."""
    looks_left: int


def p_values(
    errors: NDArray[np.int64] | int, remainder: int, claim: int, read: NDArray[np.int64] | int
) -> NDArray[np.float64]:
    """P(at most `errors` wrong among `read`, were claim + 1 of `remainder` wrong): float64 of the broadcast shape."""
    if claim >= remainder:
        return np.zeros(np.broadcast(errors, read).shape)
    return np.asarray(hypergeom.cdf(errors, remainder, claim + 1, read), dtype=np.float64)


def look(plan: StoppingPlan, number: int, remainder: int, read: int, wrong: int, skipped: int) -> Look:
    """Decide a look.

    Args:
        plan: as declared.
        number: which look this is, from 1.
        remainder: texts of the frozen remainder, the read ones included.
        read: texts drawn from it and shown to a reader, the skipped ones included.
        wrong: texts found wrong.
        skipped: texts that were not decided.

    Raises:
        ValueError: more looks than were declared, or counts that do not fit.
    """
    if number > plan.looks:
        raise ValueError(f"look {number} was not declared; the plan has {plan.looks}")
    errors = wrong + skipped
    if not 0 <= errors <= read <= remainder:
        raise ValueError(f"{wrong} wrong and {skipped} skipped of {read} read of {remainder} do not fit")
    value = float(p_values(errors, remainder, plan.claim, read))
    certified = upper_bound(remainder, read, errors, plan.alpha_per_look)
    return Look(value <= plan.alpha_per_look, value, certified, plan.looks - number)


def reads_needed(remainder: int, plan: StoppingPlan, errors: int = 0) -> int | None:
    """How many texts must be read in one look to certify the claim if `errors` of them are wrong; None where reading all is not enough.

    0 errors in 847 of 29,000 certify at most 100 (one look, α = .05).
    """
    if plan.claim >= remainder:
        return 0
    if errors > plan.claim:
        return None
    low, high = errors, remainder
    while low < high:
        middle = (low + high) // 2
        if p_values(errors, remainder, plan.claim, middle) <= plan.alpha_per_look:
            high = middle
        else:
            low = middle + 1
    return low


def upper_bound(remainder: int, read: int, errors: int, alpha: float = ALPHA) -> int:
    """The most wrong texts that `errors` among `read` of `remainder` leave possible at level 1 − alpha (one-sided, exact)."""
    low, high = errors, remainder - (read - errors)
    while low < high:
        middle = (low + high) // 2
        if p_values(errors, remainder, middle, read) <= alpha:
            high = middle
        else:
            low = middle + 1
    return low


def cost_table(remainder: int, plan: StoppingPlan, most: int = 5) -> list[tuple[int, int | None]]:
    """(errors, texts to read) for 0 … most errors: what a look costs, told beforehand."""
    return [(errors, reads_needed(remainder, plan, errors)) for errors in range(most + 1)]


def chance_to_stop(remainder: int, plan: StoppingPlan, read: int, wrong: int) -> float:
    """The chance that a look of `read` texts stops if `wrong` texts of the remainder are wrong."""
    possible = np.arange(min(read, wrong) + 1)
    stops = p_values(possible, remainder, plan.claim, read) <= plan.alpha_per_look
    return float(hypergeom.pmf(possible[stops], remainder, wrong, read).sum())


def not_certifiable(texts: int, budget: int, claim: int, alpha: float = ALPHA) -> str | None:
    """Why at most `claim` wrong among `texts` cannot be certified by reading `budget` of them, or None where it can.

    For rare options: `texts` are those with a given value of the option that is in doubt.
    """
    plan = StoppingPlan(claim, 1, alpha)
    needed = reads_needed(texts, plan)
    if needed is not None and needed <= budget:
        return None
    bound = upper_bound(texts, min(budget, texts), 0, alpha)
    return (
        f"not certifiable at this budget: even without any error among {min(budget, texts):,} read, up to {bound:,} of "
        f"{texts:,} could be wrong; at most {claim:,} needs {needed:,} texts"
    )
