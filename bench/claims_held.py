"""Annotators held against an audit sample: does the interval of the share that differs cover?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.audits.held import FEWEST_LABELS, FEWEST_TEXTS, share_of
from bench.claims_drawing import drawn, ends, share
from models.audit.sample.design import AuditDesign

TEXTS, READ = 6000, 300


@dataclass(frozen=True, slots=True)
class Case:
    """What an annotator labelled, and how wrong."""

    name: str
    mine: float
    """Share of the texts that the annotator labelled."""
    texts: float
    """Share of these in which labels differ."""
    labels: float
    """Share of the labels that differ there."""
    uneven: bool = False
    """One text in ten has twelve labels, the others one; else six each."""


CASES = (
    Case("six labels a text, few differ", 0.3, 0.03, 0.8), Case("six labels, some differ", 0.3, 0.1, 0.5),
    Case("six labels, half differ", 0.3, 0.6, 0.9), Case("six labels, nearly all differ", 0.3, 0.97, 1.0),
    Case("six labels, all but 1 % differ", 0.3, 0.99, 1.0), Case("one or twelve labels, few differ", 0.5, 0.03, 0.8, True),
)  # fmt: skip


def held(draws: int, seed: int) -> dict[str, Any]:
    """Every case, simple random and by bands."""
    print(
        f"\n## Annotators held against a sample: {TEXTS:,} texts, {READ} read, {draws:,} draws a row; goal .95"
    )
    print(
        "| annotator | bands | share that differs | too few | coverage | interval too high | too low |\n|---|---|---|---|---|---|---|"
    )
    rows = [
        _row(case, bands, draws, np.random.default_rng([seed, 41, at, bands]))
        for bands in (1, 6) for at, case in enumerate(CASES)
    ]  # fmt: skip
    print(f"{ends([row['coverage'] for row in rows])}")
    return {"rows": rows}


def _row(case: Case, bands: int, draws: int, rng: np.random.Generator) -> dict[str, Any]:
    high, low, truths = [], [], []
    for _ in range(draws):
        labels, differ, score = _texts(case, rng)
        truth = float(differ.sum() / labels.sum())
        sample = drawn(AuditDesign(READ, 0, bands=bands), score, rng)
        mine = labels[sample.rows]
        if mine.sum() < FEWEST_LABELS or (mine > 0).sum() < FEWEST_TEXTS:
            continue
        _, least, most = share_of(sample, differ[sample.rows], mine)
        truths.append(truth)
        high.append(least > truth + 1e-12)
        low.append(most < truth - 1e-12)
    row = {"annotator": case.name, "bands": bands, "share": share(truths), "refused": draws - len(truths),
           "coverage": 1 - share(high) - share(low), "high": share(high), "low": share(low)}  # fmt: skip
    print(
        f"| {case.name} | {bands} | {row['share']:.1%} | {row['refused']} | {row['coverage']:.3f} | {row['high']:.3f} | {row['low']:.3f} |",
        flush=True,
    )
    return row


def _texts(
    case: Case, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Labels of every text, how many differ, and its suspicion."""
    number = np.where(rng.random(TEXTS) < 0.1, 12, 1) if case.uneven else np.full(TEXTS, 6)
    labels = np.where(rng.random(TEXTS) < case.mine, number, 0)
    bad = rng.random(TEXTS) < case.texts
    return (
        labels,
        np.where(bad, rng.binomial(labels, case.labels), 0),
        0.3 * rng.random(TEXTS) + 0.5 * bad,
    )
