"""Estimates with clusters of very unequal sizes, and with strata of which few texts, or a single one, have a settled label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from bench.claims_drawing import ends
from bench.claims_panels import ANALYSES, Clusters, Given, Texts, covered, draw, told, truth
from models.audit.sample.design import AuditDesign
from models.estimates.panel import Panel

TEXTS = 3000
Shape = Literal["equal", "one of 40 %", "the k-th 1/k as large"]


@dataclass(frozen=True, slots=True)
class Case:
    """How texts are clustered, and how many are read."""

    clusters: int
    shape: Shape
    read: int = 500
    bands: int = 5
    skipped: float = 0.0
    """Chance that nobody settles a drawn text."""


CASES = (
    Case(200, "equal"), Case(25, "equal"), Case(101, "one of 40 %"), Case(60, "the k-th 1/k as large"),
    Case(25, "the k-th 1/k as large"), Case(200, "equal", 320, 80, 0.05),
)  # fmt: skip


def clusters(draws: int, seed: int) -> dict[str, Any]:
    """Every case."""
    times, true = max(2, draws // 4), truth(seed)
    print(f"\n## Estimates with unequal clusters: {TEXTS:,} texts, {times:,} draws a row; goal .95")
    print(f"| clusters | read, bands, skipped | {' | '.join(ANALYSES)} | refused | clusters merely counted |")
    print("|---" * (4 + len(ANALYSES)) + "|")
    rows = []
    for place, case in enumerate(CASES):
        rng = np.random.default_rng([seed, 72, place])
        found = covered(partial(_panel, case, rng), true, ANALYSES, times)
        rows.append({"clusters": case.clusters, "shape": case.shape, "read": case.read, "skipped": case.skipped, **found})  # fmt: skip
        print(
            f"| {case.clusters}, {case.shape} | {case.read}, {case.bands}, {case.skipped:.0%} | {told(found)} | {ends(_every([found], 'counted'))} |",
            flush=True,
        )
    for unequal in (False, True):
        part = [row for row in rows if (row["shape"] != "equal") == unequal]
        print(
            f"{'unequal' if unequal else 'equal'} clusters: {ends(_every(part, 'coverage'))}; merely counted {ends(_every(part, 'counted'))}"
        )
    return {"rows": rows}


def _every(rows: list[dict[str, Any]], column: str) -> list[float]:
    return [value for row in rows for each in row[column].values() for value in each]


def _of(case: Case, rng: np.random.Generator) -> Clusters:
    """The cluster of each text."""
    weight = np.ones(case.clusters)
    if case.shape == "one of 40 %":
        weight[0] = 0.4 / 0.6 * (case.clusters - 1)
    elif case.shape != "equal":
        weight = 1 / np.arange(1, case.clusters + 1)
    return np.unique(rng.choice(case.clusters, TEXTS, p=weight / weight.sum()), return_inverse=True)[1]


def _panel(case: Case, rng: np.random.Generator) -> Panel:
    groups = _of(case, rng)
    texts = Texts.of(groups, rng)
    a, b = (Given.of(true, texts.x, rng) for true in (texts.a, texts.b))
    everything = np.ones(TEXTS, dtype=np.bool_)
    sample = draw(AuditDesign(case.read, 0, bands=case.bands), a.doubt + b.doubt, everything, rng)
    settled = sample.drawn & (rng.random(TEXTS) >= case.skipped)
    labels = {"a": a.beside(texts.a, settled), "b": b.beside(texts.b, settled)}
    return Panel(labels, texts.columns, (sample,), groups, everything)
