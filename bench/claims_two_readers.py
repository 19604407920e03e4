"""Two readers who err: does the corrected total cover, where they err independently of each other and where they do not?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.claims_drawing import drawn, share
from models.audit.sample.design import AuditDesign
from models.audit.sample.readers import corrected_by_each_other, two_readers
from models.audit.sample.totals import estimate_total

TEXTS = 8000


@dataclass(frozen=True, slots=True)
class Case:
    """Who reads what."""

    rate: float
    read: int
    sensitivity: tuple[float, float]
    alike: float = 0.0
    """Share of the texts on which the second sees what the first sees."""
    bands: int = 1
    hard: bool = False
    """Texts of low suspicion are harder: four fifths of the sensitivity, half of what is missing above."""


CASES = (
    Case(0.05, 400, (0.8, 0.8)), Case(0.03, 400, (0.6, 0.6)), Case(0.05, 1000, (0.6, 0.6)),
    Case(0.1, 1000, (0.5, 0.5)), Case(0.2, 1000, (0.6, 0.5)), Case(0.1, 1000, (0.6, 0.6), bands=6, hard=True),
    Case(0.1, 1000, (0.6, 0.6), alike=0.2), Case(0.1, 1000, (0.6, 0.6), alike=0.4), Case(0.1, 1000, (0.8, 0.8), alike=0.4),
)  # fmt: skip


def both(draws: int, seed: int) -> dict[str, Any]:
    """Every case."""
    print(f"\n## Two readers who err, one label a text, {TEXTS:,} texts, {draws:,} draws a row; goal .95")
    print(
        "| wrong | read | they see | the second as the first | bands | uncorrected covers | corrected | corrected as if their sensitivity were known | below ten errors | corrected / true, mean |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    return {
        "rows": [_row(case, draws, np.random.default_rng([seed, 31, at])) for at, case in enumerate(CASES)]
    }


def _row(case: Case, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    plain: list[bool] = []
    covered: list[bool] = []
    known: list[bool] = []
    ratio: list[float] = []
    for _ in range(draws):
        score = rng.beta(0.5, 6, TEXTS)
        wrong = rng.random(TEXTS) < np.clip(score * case.rate / score.mean(), 0, 1)
        sample = drawn(AuditDesign(case.read, 0, bands=case.bands), score, rng)
        sees = np.broadcast_to(np.array(case.sensitivity)[:, None], (2, case.read))
        if case.hard:
            sees = np.where(score[sample.rows] > np.median(score), sees + (1 - sees) / 2, 0.8 * sees)
        luck = rng.random((2, case.read))
        luck[1] = np.where(rng.random(case.read) < case.alike, luck[0], luck[1])
        first, second = wrong[sample.rows] & (luck < sees)
        final, total = first | second, int(wrong.sum())
        found = estimate_total(sample, final.astype(np.int64), np.zeros(case.read, dtype=np.int64), TEXTS)
        plain.append(found.low <= total <= found.high)
        said = two_readers(first, second, final)
        if said.together_sensitivity is None or said.doubt is None:
            continue
        for kept, doubt in ((covered, said.doubt), (known, 0.0)):
            middle, low, high = corrected_by_each_other(
                found.total, found.low, found.high, TEXTS, said.together_sensitivity, doubt
            )
            kept.append(low <= total <= high)
        ratio.append(middle / total)
    row = {"rate": case.rate, "read": case.read, "sensitivity": case.sensitivity, "alike": case.alike,
           "bands": case.bands, "hard": case.hard, "uncorrected": share(plain), "corrected": share(covered),
           "known": share(known), "refused": draws - len(covered), "ratio": share(ratio)}  # fmt: skip
    print(
        f"| {case.rate:.0%} | {case.read:,} | {case.sensitivity[0]}, {case.sensitivity[1]} | {case.alike:.0%} | "
        f"{case.bands}{', hard texts' if case.hard else ''} | {row['uncorrected']:.3f} | {row['corrected']:.3f} | {row['known']:.3f} | "
        f"{row['refused']} | {row['ratio']:.2f} |",
        flush=True,
    )
    return row
