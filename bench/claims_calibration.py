"""Calibration of suspicion: observed over expected errors of the whole corpus after 200 and 500 blind decisions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.claims_totals import draw_many
from models.audit.sample.calibration import (
    NotCalibrated,
    brier_skill,
    calibrate,
    observed_and_expected,
)
from models.audit.sample.design import AuditDesign, spread_over_strata
from models.audit.sample.flags import budget_curve, flags_by_rate
from models.training.logistic import sigmoid

CELLS = 10_000
RATES = (0.02, 0.05, 0.1, 0.2)
SIZES = (200, 500)
FORMS = ("straight", "bent")
"""Suspicion's log-odds are .6 of the true ones plus 1; or .9 of them below −2 and half of them above."""
READ = 300


def calibration(draws: int, seed: int) -> dict[str, Any]:
    """Every rate, form and size."""
    print(
        f"\n## Calibration: {max(50, draws // 5)} audit samples a row, stratified by suspicion; goals: O/E .85 to 1.15, Brier skill > 0"
    )
    print(
        "| wrong | suspicion | decisions | refused | O/E overall | in five bins (both summed over samples) | share of samples within: overall, bins | Brier skill, mean (5 %) | curve covers | flagged right at .5 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for rate in RATES:
        for form in FORMS:
            for size in SIZES:
                rng = np.random.default_rng([seed, int(rate * 100), size, len(form)])
                row = {"rate": rate, "form": form, "size": size} | _row(
                    rate, form, size, max(50, draws // 5), rng
                )
                rows.append(row)
                print(_told(row), flush=True)
    return {"rows": rows}


def _told(row: dict[str, Any]) -> str:
    bins = " ".join(f"{value:.2f}" for value in row["ratio"][1:])
    within = " ".join(f"{value:.2f}" for value in row["within"])
    return (
        f"| {row['rate']:.0%} | {row['form']} | {row['size']} | {row['refused']:.2f} | {row['ratio'][0]:.2f} | {bins} | {within} | "
        f"{row['skill']:.3f} ({row['skill_low']:.3f}) | {row['curve']:.2f} | {row['flagged_right']:.2f} |"
    )


def _row(rate: float, form: str, size: int, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    odds = _odds(rate, rng)
    chance = np.asarray(sigmoid(odds))
    shown = 0.6 * odds + 1 if form == "straight" else np.where(odds > -2, 0.5 * odds + 0.5, 0.9 * odds + 1.3)
    suspicion = np.asarray(sigmoid(shown), dtype=np.float32)
    stratum, sizes, taken = spread_over_strata(AuditDesign(size, 0), CELLS, suspicion)
    drawn, strata = draw_many(stratum, sizes, taken, draws, rng)
    top = np.argsort(-suspicion, kind="stable")[:READ]
    summed: list[NDArray[np.float64]] = []
    skills, curves, flagged, refused = [], [], [], 0
    for rows in drawn:
        wrong = rng.random(CELLS) < chance
        found = calibrate(suspicion[rows].astype(np.float64), wrong[rows], (taken / sizes)[strata], rows)
        if isinstance(found, NotCalibrated):
            refused += 1
            continue
        said = found.apply(suspicion)
        summed.append(np.stack(observed_and_expected(said, chance, np.ones(CELLS))))
        skills.append(brier_skill(said, wrong, np.ones(CELLS)))
        curve = budget_curve(found, suspicion, np.array([READ]))
        curves.append(bool(curve.low[0] <= wrong[top].sum() <= curve.high[0]))
        flags = flags_by_rate(found, suspicion[:, None])[:, 0]
        flagged.append(float((~wrong[flags]).mean()) if flags.any() else np.nan)
    above, below = np.sum(summed, axis=0)
    every = np.array([found / said for found, said in summed])
    return {
        "refused": refused / draws, "ratio": (above / below).tolist(),
        "within": ((every > 0.85) & (every < 1.15)).mean(axis=0).tolist(),
        "skill": float(np.mean(skills)), "skill_low": float(np.quantile(skills, 0.05)),
        "curve": float(np.mean(curves)), "flagged_right": float(np.nanmean(flagged)),
    }  # fmt: skip


def _odds(rate: float, rng: np.random.Generator) -> NDArray[np.float64]:
    spread = 2.0 * rng.standard_normal(CELLS)
    low, high = -30.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sigmoid(middle + spread).mean() > rate else (middle, high)
    return np.asarray(low + spread)
