"""From a frame and its settled readings to totals, intervals and the decision of a look. Pure; scipy, no SQL."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.audits.cells import ReadCell, decided, differs
from app.audits.frame import Frame
from app.audits.result_schemas import (
    AuditOptionResult,
    AuditStratumResult,
    AuditValueResult,
    ErrorEstimate,
    ErrorInterval,
    NaiveNumbers,
    StoppingResult,
)
from models.audit.sample.design import AuditSample
from models.audit.sample.stopping import StoppingPlan, look, not_certifiable
from models.audit.sample.totals import ErrorTotal, estimate_total
from models.scheme import YES, Labels

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the blind reading found, cell by cell; bool (drawn, cells)."""

    frame: Frame
    cells: tuple[ReadCell, ...]
    wrong: Mask
    skipped: Mask
    """In question, and not decided by the readers."""

    @property
    def sample(self) -> AuditSample:
        """The design."""
        return self.frame.design


def outcome(frame: Frame, cells: tuple[ReadCell, ...], truth: Labels) -> Outcome:
    """Compare the settled values with the given ones. truth: int8 (drawn, options read)."""
    drawn = frame.drawn
    asked, known = frame.audited[drawn], decided(truth, cells)
    return Outcome(frame, cells, asked & known & differs(truth, frame.given[drawn], cells), asked & ~known)


def of_labels(found: Outcome, within: Mask | None = None) -> ErrorEstimate:
    """The wrong labels among all in question, or among those `within`: bool (texts of the frame, cells)."""
    frame = found.frame
    asked = frame.audited if within is None else frame.audited & within
    here = asked[frame.drawn]
    expected = None if _unscored(frame) else np.where(asked, np.nan_to_num(frame.suspicion), 0.0).sum(axis=1)
    return _estimate(
        found.sample,
        (found.wrong & here).sum(axis=1),
        (found.skipped & here).sum(axis=1),
        read=int(here.sum()),
        cells=asked.sum(axis=1).astype(np.int64),
        expected=expected,
    )


def of_texts(found: Outcome) -> ErrorEstimate:
    """Texts with at least one wrong label; a text counts as skipped where none was found wrong and one was skipped."""
    frame, (wrong, skipped) = found.frame, text_counts(found)
    right = 1 - np.where(frame.audited, np.nan_to_num(frame.suspicion), 0.0)
    expected = None if _unscored(frame) else 1 - right.prod(axis=1)
    return _estimate(
        found.sample,
        wrong.astype(np.int64),
        skipped.astype(np.int64),
        read=len(wrong),
        cells=np.ones(len(frame.text_ids), dtype=np.int64),
        expected=expected,
    )


def text_counts(found: Outcome) -> tuple[Mask, Mask]:
    """Which drawn texts are wrong and which are skipped: twice bool (drawn,)."""
    wrong, skipped = (np.asarray(mask.any(axis=1), dtype=np.bool_) for mask in (found.wrong, found.skipped))
    return wrong, skipped & ~wrong


def of_options(found: Outcome, option_keys: Sequence[str], certify: float) -> list[AuditOptionResult]:
    """Option by option and value by value; for a choose_one question the whole answer, then each option given."""
    results = []
    for place, cell in enumerate(found.cells):
        column = np.zeros(found.frame.audited.shape, dtype=np.bool_)
        column[:, place] = True
        results.append(
            AuditOptionResult(
                key=cell.key,
                question=cell.question,
                estimate=of_labels(found, column),
                values=[] if cell.option is None else _values(found, column, cell.columns[0], certify),
            )
        )
        if cell.option is None:
            results += [
                AuditOptionResult(
                    key=option_keys[at],
                    question=cell.question,
                    estimate=None,
                    values=_values(found, column, at, certify)[:1],
                )
                for at in cell.columns
            ]
    return results


def of_strata(found: Outcome) -> list[AuditStratumResult]:
    """What was found in each band."""
    sample, frame = found.sample, found.frame
    asked, wrong_texts = frame.audited[frame.drawn], text_counts(found)[0]
    return [
        AuditStratumResult(
            texts=int(sample.sizes[band]),
            drawn=int(sample.taken[band]),
            inclusion=float(sample.taken[band] / sample.sizes[band]),
            read=int(asked[here].sum()),
            found=int(found.wrong[here].sum()),
            skipped=int(found.skipped[here].sum()),
            wrong_texts=int(wrong_texts[here].sum()),
        )
        for band in range(len(sample.sizes))
        for here in [sample.strata == band]
    ]


def decision(found: Outcome, plan: StoppingPlan, number: int, before: int = 0) -> StoppingResult:
    """Decide a look by the exact test; skipped texts count as wrong. before: plans that were declared earlier."""
    wrong, skipped = (int(mask.sum()) for mask in text_counts(found))
    remainder, read = len(found.frame.text_ids), len(found.frame.drawn)
    decided_ = look(plan, number, remainder, read, wrong, skipped)
    return StoppingResult(
        look=number,
        looks_declared=plan.looks,
        looks_left=decided_.looks_left,
        at_most=plan.claim,
        alpha=plan.alpha,
        alpha_per_look=plan.alpha_per_look,
        remainder=remainder,
        read=read,
        wrong=wrong,
        skipped=skipped,
        p_value=decided_.p_value,
        stop=decided_.stop,
        certified=decided_.certified,
        earlier_plans=before,
    )


def budget_words(labels: int, read: int, certify: float, even: int | None = None) -> str | None:
    """Why `certify` of so many labels cannot be said to be the most that are wrong after reading `read` of them; None where it can.

    even: what they count as where bands are read unevenly, see `as_if_even`.
    """
    if not labels:
        return None
    counted = read if even is None else min(read, even)
    words = not_certifiable(labels, counted, math.floor(certify * labels))
    uneven = f"; {read:,} are read, but as thinly as in the band read least" if counted < read else ""
    return None if words is None else words + uneven


def as_if_even(labels: int, inclusion: NDArray[np.float64]) -> int:
    """How many of so many labels would be read at the least of their π: where nothing is found, all wrong ones may lie in that band.

    inclusion: float64 (labels or their texts,).
    """
    return int(labels * inclusion.min() + 1e-9) if labels else 0


def _values(found: Outcome, column: Mask, at: int, certify: float) -> list[AuditValueResult]:
    """The labels given yes, and those given no, of one option."""
    yes = found.frame.given[:, at] == YES
    results: list[AuditValueResult] = []
    for with_value, within in ((True, yes), (False, ~yes)):
        estimate = of_labels(found, column & within[:, None])
        words = budget_words(estimate.labels, estimate.read, certify, _even(found, column & within[:, None]))
        results.append(
            AuditValueResult(value="yes" if with_value else "no", estimate=estimate, not_certifiable=words)
        )
    return results


def _even(found: Outcome, within: Mask) -> int | None:
    """`as_if_even` of the labels in question there; None for a simple random sample."""
    sample, asked = found.sample, found.frame.audited & within
    if len(sample.sizes) == 1:
        return None
    there = (sample.taken / sample.sizes)[found.frame.stratum[asked.any(axis=1)]]
    return as_if_even(int(asked.sum()), there)


def _estimate(
    sample: AuditSample,
    wrong: NDArray[np.int64],
    skipped: NDArray[np.int64],
    *,
    read: int,
    cells: NDArray[np.int64],
    expected: NDArray[np.float64] | None,
) -> ErrorEstimate:
    """cells: int64 (texts of the frame,), labels in question of each."""
    plain = estimate_total(sample, wrong, skipped, cells)
    found = plain if expected is None else estimate_total(sample, wrong, skipped, cells, expected)
    share, labels = None if not read else float(wrong.sum() / read), found.cells
    return ErrorEstimate(
        labels=labels,
        read=read,
        found=found.found,
        skipped=found.skipped,
        total=found.total,
        standard_error=found.standard_error,
        low=found.low,
        high=found.high,
        share=_share(found.total, labels),
        share_low=_share(found.low, labels),
        share_high=_share(found.high, labels),
        total_without_skips=found.total_without_skips,
        slope=found.slope,
        plain=interval(plain),
        naive=NaiveNumbers(
            share=share,
            total=None if share is None else share * labels,
            suspicion=None if expected is None else float(expected.sum()),
        ),
    )


def interval(found: ErrorTotal) -> ErrorInterval:
    """An estimate's interval."""
    return ErrorInterval(total=found.total, low=found.low, high=found.high)


def _share(total: float, cells: int) -> float:
    return total / cells if cells else 0.0


def _unscored(frame: Frame) -> bool:
    return not np.isfinite(frame.suspicion).any()
