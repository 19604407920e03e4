"""What an audit sample would cost and could say, before it is drawn. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.audits.answers import Certifiable, ExpectedInterval, StoppingCost
from app.audits.cells import ReadCell
from app.audits.results import as_if_even, budget_words
from app.audits.schemas import AuditSampleRequest
from app.http.problems import Invalid
from models.audit.sample.design import BANDS
from models.audit.sample.stopping import StoppingPlan, chance_to_stop, cost_table, reads_needed, upper_bound
from models.audit.sample.totals import clump, total_interval
from models.scheme import YES, Labels

Mask = NDArray[np.bool_]
TEXTS_PER_BAND = 4
SUPPOSED = (0.0, 0.01, 0.05, 0.1, 0.2)
"""Shares of wrong labels for which the interval is told beforehand."""


@dataclass(frozen=True, slots=True)
class _Strata:
    stratum: NDArray[np.int32]
    sizes: NDArray[np.int64]
    taken: NDArray[np.int64]


def certifiable(
    given: Labels,
    audited: Mask,
    inclusion: NDArray[np.float64],
    cells: Sequence[ReadCell],
    option_keys: Sequence[str],
    certify: float,
) -> list[Certifiable]:
    """What could be said of each option's labels if no error were found.

    Args:
        given: int8 (texts, options read).
        audited: bool (texts, cells).
        inclusion: float64 (texts,), π of every text of the frame.
        cells, option_keys: what is read.
        certify: share of the labels that should be certified as the most that are wrong.
    """
    found = []
    for place, cell in enumerate(cells):
        for at in cell.columns:
            yes = given[:, at] == YES
            found.append(_certifiable(option_keys[at], "yes", audited[:, place] & yes, inclusion, certify))
            if cell.option is not None:
                found.append(
                    _certifiable(option_keys[at], "no", audited[:, place] & ~yes, inclusion, certify)
                )
    return found


def intervals(
    cells_of: NDArray[np.int64],
    stratum: NDArray[np.int32],
    sizes: NDArray[np.int64],
    taken: NDArray[np.int64],
    suspicion: NDArray[np.float64] | None,
) -> list[ExpectedInterval]:
    """Intervals to be expected at supposed shares of wrong labels, and by the ranking's suspicion where there is any.

    Args:
        cells_of: int64 (texts,), labels in question of each text.
        stratum: int32 (texts,).
        sizes, taken: int64 (strata,), N_h and n_h.
        suspicion: float64 (texts, cells), 0 where none is audited; None: no ranking.
    """
    drawn = _Strata(stratum, sizes, taken)
    found = [
        _interval(share * cells_of, share * (1 - share) * cells_of, drawn, cells_of, "supposed")
        for share in SUPPOSED
    ]
    if suspicion is not None:
        mean, spread = suspicion.sum(axis=1), (suspicion * (1 - suspicion)).sum(axis=1)
        found.append(_interval(mean, spread, drawn, cells_of, "suspicion"))
    return found


def texts_to_draw(asked: AuditSampleRequest, frame: int, plan: StoppingPlan | None) -> int:
    """How many texts are drawn; a stopping sample takes what no error needs unless it says otherwise. Invalid where it is more than there are."""
    size = asked.size
    if size is None and asked.budget is not None:
        size = asked.budget // asked.readers
        if not size:
            raise Invalid(
                f"A text takes {asked.readers} readings: ask for a budget of that many at the least.",
                field="/budget",
                slug="sample-too-small",
            )
    if size is None and plan is not None:
        size = reads_needed(frame, plan) or 1
    if not size or size > frame:
        field = "/size" if asked.budget is None else "/budget"
        raise Invalid(
            f"{size or 0:,} texts are asked for and {frame:,} can be drawn: ask for 1 to {frame:,}.",
            field=field,
            slug="sample-too-large",
        )
    return int(size)


def bands_of(asked: AuditSampleRequest, size: int) -> int:
    """Bands of a stratified sample: as asked, else so many that four texts of each can be read; 1 is a random sample."""
    if asked.bands is not None:
        return asked.bands
    fitting = min(BANDS, size // TEXTS_PER_BAND)
    return max(fitting, 2 if asked.design == "stratified" else 1)


def check_claim(claim: int, remainder: int) -> None:
    """Refuse a claim that holds of itself: no more can be wrong than there are texts left.

    Raises:
        Invalid: it does.
    """
    if claim >= remainder:
        raise Invalid(
            f"At most {claim:,} wrong needs no sample, for only {remainder:,} texts are left: claim fewer than {remainder:,}.",
            field="/stopping/at_most",
            slug="empty-claim",
        )


def look_warning(plan: StoppingPlan, remainder: int, size: int) -> str | None:
    """Why a look of so many texts could never stop, or None."""
    needed = reads_needed(remainder, plan)
    if needed is not None and size >= needed:
        return None
    return (
        f"not certifiable at this budget: even without any error, {size:,} of {remainder:,} texts cannot certify that at most {plan.claim:,} are "
        f"wrong; that needs {needed:,}."
    )


def stopping_cost(plan: StoppingPlan, number: int, remainder: int, size: int) -> StoppingCost:
    """What a look costs, and how likely it stops if fewer than the claim are wrong."""
    truly = sorted({0, plan.claim // 10, plan.claim // 4, plan.claim // 2, plan.claim})
    read = min(size, remainder)
    return StoppingCost(
        at_most=plan.claim,
        alpha=plan.alpha,
        looks=plan.looks,
        look=number,
        remainder=remainder,
        reads_needed=cost_table(remainder, plan),
        chance_to_stop=[
            (wrong, chance_to_stop(remainder, plan, read, wrong)) for wrong in truly if wrong <= remainder
        ],
    )


def planned_cost(remainder: int, at_most: int, looks: int, alpha: float) -> StoppingCost:
    """The cost of the first look of a plan over so many texts, if it reads just what no error needs.

    Raises:
        ValueError: it cannot be declared.
        Invalid: it holds of itself.
    """
    plan = StoppingPlan(at_most, looks, alpha)
    check_claim(at_most, remainder)
    return stopping_cost(plan, 1, remainder, reads_needed(remainder, plan) or remainder)


def _certifiable(
    option: str, value: str, labels: Mask, inclusion: NDArray[np.float64], certify: float
) -> Certifiable:
    count, read = int(labels.sum()), int(inclusion[labels].sum() + 1e-9)
    even = as_if_even(count, inclusion[labels])
    return Certifiable(
        option=option,
        value="yes" if value == "yes" else "no",
        labels=count,
        read=read,
        possible=upper_bound(count, even, 0) if count else 0,
        not_certifiable=budget_words(count, read, certify, even),
    )


def _interval(
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    drawn: _Strata,
    cells_of: NDArray[np.int64],
    basis: Literal["supposed", "suspicion"],
) -> ExpectedInterval:
    """The interval at the expected total, texts differing within strata by chance (`spread`) and by their means.

    The means' part is what the difference estimator takes out where suspicion is right: the interval can only be shorter.
    """
    average = np.bincount(drawn.stratum, mean, len(drawn.sizes)) / drawn.sizes
    varied = spread + (mean - average[drawn.stratum]) ** 2
    within = np.bincount(drawn.stratum, varied, len(drawn.sizes)) / drawn.sizes
    variance = (drawn.sizes**2 * (1 - drawn.taken / drawn.sizes) / drawn.taken * within).sum()
    weights = (drawn.sizes / drawn.taken)[drawn.taken < drawn.sizes]
    wrong = np.array([mean.sum()])
    together = clump(
        wrong, np.array([(spread + mean**2).sum()]), len(mean) / int(drawn.taken.sum()), float(cells_of.max())
    )
    low, high = total_interval(
        wrong, np.array([variance]), float(weights.max(initial=0.0)) * together, int(cells_of.sum())
    )
    return ExpectedInterval(wrong=float(mean.sum()), low=float(low[0]), high=float(high[0]), basis=basis)
