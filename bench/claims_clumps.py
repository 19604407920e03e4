"""Totals of wrong labels where texts have very different numbers of labels and errors come by the text, and where strata have two texts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.claims_drawing import drawn, share
from models.audit.sample.design import AuditDesign
from models.audit.sample.totals import estimate_total

TEXTS, READ = 6000, 300
MOSTLY = 0.8
"""Share of a text's labels that are wrong where its errors come together."""
SHAPES = ((0.05, 40), (0.02, 12), (0.1, 12), (0.3, 12), (0.2, 30), (1.0, 12))
"""Share of the texts that have many labels, and how many; the others have one."""
RATES = (0.01, 0.03, 0.1)
MIDDLE = 0.03
STRATA = ((16, 8), (32, 16), (80, 40))
"""Texts read and bands, two of each band."""

Counts = NDArray[np.int64]
Way = Literal["by the text", "by the text, 6 bands", "each by itself"]


def clumps(draws: int, seed: int) -> dict[str, Any]:
    """Both tables."""
    times = draws
    print(
        f"\n## Totals where texts have very different numbers of labels: {TEXTS:,} texts, {READ} read, {times:,} draws a row; goal .95"
    )
    print(
        "| labels a text | errors | wrong texts | wrong texts read | coverage | total below the interval | width / total, median |\n|---|---|---|---|---|---|---|"
    )
    rng = np.random.default_rng([seed, 21])
    rows = [
        _row(many, count, way, rate, times, rng) for many, count in (*SHAPES, (None, 0))
        for rate in RATES for way in _ways(rate, many)
    ]  # fmt: skip
    for way, part in (("by the text", True), ("each by itself", False)):
        found = sorted(row["coverage"] for row in rows if (row["errors"] != "each by itself") == part)
        print(f"errors {way}: {len(found)} rows, the lowest {', '.join(f'{value:.3f}' for value in found[:3])}, the highest {found[-1]:.3f}")  # fmt: skip
    return {"rows": rows, "strata": _strata(times, np.random.default_rng([seed, 22]))}


def _ways(rate: float, many: float | None) -> tuple[Way, ...]:
    all_three: tuple[Way, ...] = ("by the text", "by the text, 6 bands", "each by itself")
    return all_three if rate == MIDDLE and many is not None else all_three[:1]


def _labels(many: float | None, count: int, rng: np.random.Generator) -> Counts:
    """Of every text: many or one, or geometric with mean 6 or 7 and forty at most."""
    if many is None:
        return np.minimum(rng.geometric(0.15, TEXTS), 40)
    return np.where(rng.random(TEXTS) < many, count, 1)


def _row(
    many: float | None, count: int, way: Way, rate: float, times: int, rng: np.random.Generator
) -> dict[str, Any]:
    covered, above, wide, read = [], [], [], []
    bands = 6 if way == "by the text, 6 bands" else 1
    for _ in range(times):
        labels = _labels(many, count, rng)
        if way == "each by itself":
            wrong = rng.binomial(labels, rate * MOSTLY)
        else:
            wrong = np.where(rng.random(TEXTS) < rate, rng.binomial(labels, MOSTLY), 0)
        expected = (rate * MOSTLY * labels).astype(np.float64)
        sample = drawn(AuditDesign(READ, 0, bands=bands), expected, rng)
        found = estimate_total(
            sample,
            wrong[sample.rows],
            np.zeros(READ, dtype=np.int64),
            labels,
            expected if bands > 1 else None,
        )
        total = int(wrong.sum())
        covered.append(found.low <= total <= found.high)
        above.append(total < found.low)
        wide.append((found.high - found.low) / max(total, 1))
        read.append(float((wrong[sample.rows] > 0).sum()))
    row = {"many": many, "labels": count, "errors": way, "rate": rate, "read": share(read),
           "coverage": share(covered), "below": share(above), "width": float(np.median(wide))}  # fmt: skip
    name = "geometric, mean 6.7, 40 at most" if many is None else f"{many:.0%} have {count}"
    print(
        f"| {name} | {way} | {rate:.0%} | {row['read']:.1f} | {row['coverage']:.3f} | {row['below']:.3f} | {row['width']:.2f} |",
        flush=True,
    )
    return row


def _strata(times: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    print(f"\n## Totals with strata of two texts: one label a text, a good score, {times:,} draws a row")
    print("| read | bands | coverage |\n|---|---|---|")
    rows = []
    for size, bands in STRATA:
        covered = []
        for _ in range(times):
            chance = np.clip(rng.beta(0.5, 6, TEXTS), 1e-4, 0.99)
            wrong = (rng.random(TEXTS) < chance).astype(np.int64)
            sample = drawn(AuditDesign(size, 0, bands=bands, allocation="proportional"), chance, rng)
            found = estimate_total(sample, wrong[sample.rows], np.zeros(size, dtype=np.int64), TEXTS, chance)
            covered.append(found.low <= wrong.sum() <= found.high)
        rows.append({"read": size, "bands": bands, "coverage": share(covered)})
        print(f"| {size} | {bands} | {share(covered):.3f} |", flush=True)
    return rows
