"""Error totals: coverage of the interval and variance beside plain sampling, over all draws of a cell at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.audit.sample.design import AuditDesign, spread_over_strata
from models.audit.sample.readers import rogan_gladen
from models.audit.sample.totals import difference_estimate, total_interval
from models.training.logistic import sigmoid

TEXTS = 29_000
RATES = (0.005, 0.02, 0.05, 0.1, 0.2)
SIZES = (300, 600, 1000)
EXPECTATIONS = ("good", "half", "double", "useless")
READERS = {"perfect": (1.0, 1.0), ".95/.99": (0.95, 0.99), ".9/.98": (0.9, 0.98)}
PERMUTATIONS = 50
"""Of a useless expectation: what one costs by its strata hangs on where the few wrong texts happen to lie."""
SLANT = 3.0
"""Spread of the true log-odds: average precision of a good expectation is about .4 at 0.5 % wrong, .6 at 5 %, .8 at 20 %."""

Vector = NDArray[np.float64]


def totals(draws: int, seed: int) -> dict[str, Any]:
    """Every cell, with one cell a text (an option alone, the hardest) and with twelve."""
    rows = [
        row
        for cells in (1, 12)
        for bands in ((1, 8) if cells == 1 else (8,))
        for rate in RATES
        for row in _rate(
            rate, cells, bands, draws, np.random.default_rng([seed, cells, bands, int(1e4 * rate)])
        )
    ]
    print(f"\n## Totals of wrong labels: {TEXTS:,} texts, {draws:,} draws a cell")
    print("| cells a text | design | reader | cells | coverage, worst | mean | best | uncorrected, worst |")
    print("|---|---|---|---|---|---|---|---|")
    for cells, bands in ((1, 1), (1, 8), (12, 8)):
        for reader in READERS:
            part = [r for r in rows if (r["cells"], r["bands"], r["reader"]) == (cells, bands, reader)]
            covered = [r["coverage"] for r in part]
            raw = min(r["uncorrected"] for r in part)
            print(
                f"| {cells} | {_name(bands)} | {reader} | {len(part)} | {min(covered):.3f} | {np.mean(covered):.3f} | {max(covered):.3f} | {raw:.3f} |"
            )
    print(
        "\n| cells a text | design | expectation | variance beside plain sampling: mean | least | most |\n|---|---|---|---|---|---|"
    )
    for cells, bands in ((1, 1), (1, 8), (12, 8)):
        for kind in EXPECTATIONS:
            part = [
                r
                for r in rows
                if (r["cells"], r["bands"], r["expectation"], r["reader"]) == (cells, bands, kind, "perfect")
            ]
            ratios = [r["variance_ratio"] for r in part]
            print(
                f"| {cells} | {_name(bands)} | {kind} | {np.mean(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |"
            )
    worst = sorted((r for r in rows if r["reader"] == "perfect"), key=lambda r: float(r["coverage"]))[:5]
    for row in worst:
        print(f"lowest: {row['coverage']:.3f} at {row['rate']:.1%}, n = {row['size']}, {row['expectation']}, {_name(row['bands'])}, {row['cells']} a text, λ {row['slope']:.2f}")  # fmt: skip
    return {"rows": rows}


def _name(bands: int) -> str:
    return "simple random" if bands == 1 else f"{bands} bands, guarded"


def _rate(rate: float, cells: int, bands: int, draws: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """All cells of one error rate."""
    odds = _centred_odds(rate, rng)
    chance = np.asarray(sigmoid(odds))
    wrong = rng.binomial(cells, chance).astype(np.float64)
    expected = {
        "good": cells * chance, "half": cells * chance / 2, "double": np.minimum(2 * cells * chance, cells),
        "useless": cells * rng.permutation(chance),
    }  # fmt: skip
    rows = []
    for kind, expectation in expected.items():
        for size in SIZES:
            about = {"rate": rate, "size": size, "cells": cells, "bands": bands, "expectation": kind}
            rows.extend(_cell(wrong, expectation, about, draws, rng))
    return rows


def _cell(
    wrong: Vector,
    expected: Vector,
    about: dict[str, Any],
    draws: int,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """One design, read by each reader."""
    size, cells = int(about["size"]), int(about["cells"])
    design = AuditDesign(size, 0, bands=about["bands"])
    stratum, sizes, taken = spread_over_strata(design, TEXTS, expected.astype(np.float32))
    drawn, strata = draw_many(stratum, sizes, taken, draws, rng)
    means = np.bincount(stratum, expected) / sizes
    centred = expected[drawn] - means[strata]
    largest = float((sizes / taken).max())
    truth, every = wrong.sum(), TEXTS * cells
    plain = TEXTS**2 * (1 - size / TEXTS) / size * wrong.var(ddof=1)
    orders = [wrong] if about["expectation"] != "useless" else [wrong, *(rng.permutation(wrong) for _ in range(PERMUTATIONS - 1))]  # fmt: skip
    stratified = np.mean([_stratified(values, stratum, sizes, taken) for values in orders])
    rows = []
    for reader, (sensitivity, specificity) in READERS.items():
        seen = wrong[drawn]
        if reader != "perfect":
            seen = rng.binomial(seen.astype(np.int64), sensitivity) + rng.binomial(
                (cells - seen).astype(np.int64), 1 - specificity
            ).astype(np.float64)
        found = difference_estimate(seen, centred, strata, sizes, cells_a_text=cells)
        total = np.clip(found.total, seen.sum(axis=1), every)
        low, high = total_interval(total, found.variance, largest * found.clump, every)
        _, below, above = rogan_gladen(total, low, high, every, sensitivity, specificity)
        rows.append({
            **about, "reader": reader,
            "coverage": float(((below <= truth) & (truth <= above)).mean()),
            "uncorrected": float(((low <= truth) & (truth <= high)).mean()),
            "bias": float(found.total.mean() / truth - 1),
            # the plain estimator's variance is known exactly; what λ adds is measured on the same draws
            "variance_ratio": float(stratified / plain * found.total.var() / found.plain_total.var()),
            "slope": float(found.slope.mean()), "width": float(np.median(above - below) / truth),
        })  # fmt: skip
    return rows


def _stratified(
    values: Vector, stratum: NDArray[np.int32], sizes: NDArray[np.int64], taken: NDArray[np.int64]
) -> float:
    """The variance of the total of some values by a stratified sample."""
    mean = np.bincount(stratum, values) / sizes
    within = (np.bincount(stratum, values**2) - sizes * mean**2) / np.maximum(sizes - 1, 1)
    return float((sizes**2 * (1 - taken / sizes) / taken * within).sum())


def draw_many(
    stratum: NDArray[np.int32],
    sizes: NDArray[np.int64],
    taken: NDArray[np.int64],
    draws: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Stratified samples without replacement: int64 (draws, drawn) rows of the frame, int32 (drawn,) their strata."""
    order = np.argsort(stratum, kind="stable")
    starts = np.append(0, np.cumsum(sizes)[:-1])
    parts = [
        order[start + _without_replacement(int(size), int(count), draws, rng)]
        for start, size, count in zip(starts, sizes, taken, strict=True)
    ]
    return np.concatenate(parts, axis=1), np.repeat(np.arange(len(sizes)), taken).astype(np.int32)


def _without_replacement(size: int, count: int, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64 (draws, count): where a number came twice, one of the two is drawn again."""
    if count * 4 > size:
        return np.argsort(rng.random((draws, size)), axis=1)[:, :count]
    picked = rng.integers(size, size=(draws, count))
    while True:
        picked.sort(axis=1)
        rows, columns = np.nonzero(np.diff(picked, axis=1) == 0)
        if not len(rows):
            return picked
        picked[rows, columns + 1] = rng.integers(size, size=len(rows))


def _centred_odds(rate: float, rng: np.random.Generator) -> Vector:
    """Normal log-odds whose mean probability is the rate."""
    spread = SLANT * rng.standard_normal(TEXTS)
    low, high = -40.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sigmoid(middle + spread).mean() > rate else (middle, high)
    return np.asarray(low + spread)
