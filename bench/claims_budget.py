"""The curve "review the top K, find about N" where wrong labels come by the text: does its interval hold what would be found?"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.claims_drawing import ends, share
from models.audit.sample.calibration import NotCalibrated, calibrate
from models.audit.sample.flags import budget_curve
from models.training.logistic import sigmoid

TEXTS, LABELS = 4000, 12
REVIEWED = (50, 200, 1000, 5000, TEXTS * LABELS)
EFFECTS = (0.0, 1.0, 2.0)
"""Spread of what a text's labels have in common, in log-odds; suspicion knows nothing of it."""
READ = (60, 200)


def budget(draws: int, seed: int) -> dict[str, Any]:
    """Every effect and size."""
    times = max(2, draws // 2)
    print(
        f"\n## Budget curve: {TEXTS:,} texts of {LABELS} labels, simple random samples, {times:,} draws a row; goal .95"
    )
    print(
        "| effect of the text | texts read | not calibrated | "
        + " | ".join(f"top {reviewed:,}" for reviewed in REVIEWED)
        + " |"
    )
    print("|---" * (3 + len(REVIEWED)) + "|")
    rows = [
        _row(effect, read, times, np.random.default_rng([seed, 51, int(effect), read]))
        for effect in EFFECTS for read in READ
    ]  # fmt: skip
    alone = [value for row in rows if not row["effect"] for value in row["coverage"]]
    by_text = [value for row in rows if row["effect"] for value in row["coverage"]]
    print(f"each by itself {ends(alone)}; by the text {ends(by_text)}")
    return {"rows": rows}


def _row(effect: float, read: int, times: int, rng: np.random.Generator) -> dict[str, Any]:
    reviewed, held = np.array(REVIEWED), []
    for _ in range(times):
        odds = rng.normal(-4, 1.5, (TEXTS, LABELS))
        wrong = rng.random(odds.shape) < sigmoid(odds + effect * rng.standard_normal((TEXTS, 1)))
        suspicion = np.asarray(sigmoid(odds + 0.3 * rng.standard_normal(odds.shape)), dtype=np.float32)
        rows = rng.choice(TEXTS, read, replace=False)
        found = calibrate(
            suspicion[rows].ravel().astype(np.float64), wrong[rows].ravel(),
            np.full(read * LABELS, read / TEXTS), np.repeat(rows, LABELS),
        )  # fmt: skip
        if isinstance(found, NotCalibrated):
            continue
        curve = budget_curve(found, suspicion, reviewed)
        first = np.cumsum(wrong.ravel()[np.argsort(-suspicion.ravel(), kind="stable")])[reviewed - 1]
        held.append((curve.low <= first) & (first <= curve.high))
    coverage = [share([bool(one[at]) for one in held]) for at in range(len(REVIEWED))]
    print(
        f"| {effect:.0f} | {read} | {times - len(held)} | "
        + " | ".join(f"{value:.3f}" for value in coverage)
        + " |",
        flush=True,
    )
    return {"effect": effect, "read": read, "refused": times - len(held), "coverage": coverage}
