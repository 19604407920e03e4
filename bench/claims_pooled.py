"""Estimates on two audit samples together: coverage, and what a second sample does that is drawn because of what the first one said."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import claims_panels
from bench.claims_drawing import ends, share
from bench.claims_panels import ANALYSES, Given, Texts, Vector, covered, draw, told, truth
from models.audit.sample.design import AuditDesign
from models.estimates.answers import answer
from models.estimates.panel import Analysis, Drawn, Panel, Term
from models.estimates.preparing import prepare
from models.training.logistic import sigmoid

Mask = NDArray[np.bool_]
RARE_ODDS = -4.6
"""Of a label that about 1.6 % of texts have: log-odds at x = 0, slope 1."""


@dataclass(frozen=True, slots=True)
class Case:
    """How the second sample differs from the first."""

    name: str
    texts: int = 3000
    cluster: int = 15
    """Texts of a cluster, on average."""
    read: tuple[int, int] = (250, 250)
    learnt: bool = False
    """Bands of the second from what the first found."""
    moved: bool = False
    """A tenth of the first frame has left, a third of the second has come."""
    skipped: float = 0.0
    rare: bool = False


CASES = (
    Case("same frame"), Case("bands of the second by what the first found", learnt=True), Case("frames differ", moved=True),
    Case("both, 5 % skipped, pairs", cluster=2, read=(200, 400), learnt=True, moved=True, skipped=0.05),
    Case("samples overlap by a third", texts=800, cluster=1, read=(300, 300)),
    Case("rare label, both", cluster=1, learnt=True, moved=True, rare=True),
)  # fmt: skip


def pooled(draws: int, seed: int) -> dict[str, Any]:
    """Coverage, then samples that hang on each other's results."""
    times, true = max(2, draws // 6), truth(seed)
    x = Texts.of(np.arange(claims_panels.LARGE), np.random.default_rng([seed, 73])).x
    rare = {"prevalence": np.array([sigmoid(RARE_ODDS + x).mean()])}
    print(f"\n## Estimates on two samples together: {times:,} draws a row; goal .95")
    print(
        f"| second sample | texts; read | {' | '.join(ANALYSES)} | refused | bias of the share / its spread |"
    )
    print("|---" * (4 + len(ANALYSES)) + "|")
    rows = []
    for place, case in enumerate(CASES):
        rng = np.random.default_rng([seed, 74, place])
        asked = {"prevalence": ANALYSES["prevalence"]} if case.rare else ANALYSES
        found = covered(partial(_panel, case, rng), rare if case.rare else true, asked, times)
        rows.append({"case": case.name, **found})
        print(
            f"| {case.name} | {case.texts:,}; {case.read[0]} + {case.read[1]} | {told(found)} | {found['bias']['prevalence']:+.2f} |",
            flush=True,
        )
    every = [value for row in rows[:-1] for each in row["coverage"].values() for value in each]
    print(f"without the rare label: {ends(every)}")
    return {"rows": rows, "because": _because(draws, np.random.default_rng([seed, 75]))}


def _panel(case: Case, rng: np.random.Generator) -> Panel:
    size = case.texts
    groups = np.arange(size) if case.cluster == 1 else rng.integers(size // case.cluster, size=size)
    groups = np.unique(groups, return_inverse=True)[1]
    texts = Texts.of(groups, rng)
    a_true = (rng.random(size) < sigmoid(RARE_ODDS + texts.x)).astype(np.int64) if case.rare else texts.a
    a, b = (Given.of(true, texts.x, rng) for true in (a_true, texts.b))
    place, doubt = np.arange(size), a.doubt + b.doubt
    frames = (place < 0.65 * size, place >= 0.1 * size) if case.moved else (place >= 0, place >= 0)
    first = draw(AuditDesign(case.read[0], 0), doubt, frames[0], rng)
    learnt = _learnt(doubt, texts.x, first, a.student != a_true) if case.learnt else doubt
    second = draw(AuditDesign(case.read[1], 0, bands=5), learnt, frames[1], rng)
    settled = (first.drawn | second.drawn) & (rng.random(size) >= case.skipped)
    labels = {"a": a.beside(a_true, settled), "b": b.beside(texts.b, settled)}
    return Panel(labels, texts.columns, (first, second), None if case.cluster == 1 else groups, frames[1])


def _learnt(doubt: Vector, x: Vector, first: Drawn, wrong: Mask) -> Vector:
    """Doubt that knows what the first sample found: its wrong texts lead, its right ones come last, and doubt grows with x as the errors found."""
    found = first.drawn & wrong
    order = np.argsort(x)
    rising = np.empty(len(x))
    rising[order] = np.cumsum(found[order]) / max(int(found.sum()), 1)
    return np.asarray(np.where(found, 0.99, np.where(first.drawn, 0.001, doubt * (0.5 + rising))))


DIFFERENCE = Analysis("difference", Term("a"), (Term(column="z", categorical=True, reference="0"),))
EACH, SHARE, FEW = 300, 0.1, 30
"""Texts of each sample; the share of yes; events below which a second sample is drawn."""


def _because(times: int, rng: np.random.Generator) -> dict[str, Any]:
    """A second sample because the first difference was not significant, or because it had too few events."""
    print(f"\n## A second sample of {EACH} texts because of the first: {times:,} draws, simple random")
    false, beforehand, events, always = [], [], [], []
    for _ in range(times):
        one, two = _no_difference(rng, 0.3)
        first, together = _difference(one), _difference(two)
        false.append(first or together)
        beforehand.append(together)
        one, two = _no_difference(rng, SHARE)
        few = int((one.labels["a"].expert == 1).sum()) < FEW
        events.append(_prevalence(two if few else one))
        always.append(_prevalence(two))
    print("| second sample | false positives | | second sample | share covered | bias / spread |\n|---|---|---|---|---|---|")  # fmt: skip
    values = {"not_significant": share(false), "beforehand": share(beforehand)}
    for name, each in (("few_events", events), ("always", always)):
        deviations = np.array([one[1] for one in each])
        values |= {name: share([one[0] for one in each]), f"{name}_bias": float(deviations.mean() / deviations.std())}  # fmt: skip
    print(
        f"| because the difference was not significant | {values['not_significant']:.3f} | | because fewer than {FEW} of {EACH} were yes | {values['few_events']:.3f} | {values['few_events_bias']:+.2f} |"
    )
    print(
        f"| decided beforehand | {values['beforehand']:.3f} | | decided beforehand | {values['always']:.3f} | {values['always_bias']:+.2f} |"
    )
    return values


def _no_difference(rng: np.random.Generator, yes: float) -> tuple[Panel, Panel]:
    """A corpus in which groups do not differ: with the first sample, and with both."""
    size = 6000
    true, z = (rng.random(size) < yes).astype(np.int64), rng.integers(2, size=size)
    given = Given.of(true, rng.standard_normal(size), rng)
    everything = np.ones(size, dtype=np.bool_)
    samples = [draw(AuditDesign(EACH, 0, bands=1), given.doubt, everything, rng) for _ in range(2)]
    columns = {"z": z.astype(str).tolist()}
    first = Panel({"a": given.beside(true, samples[0].drawn)}, columns, (samples[0],), None, everything)
    both = given.beside(true, samples[0].drawn | samples[1].drawn)
    return first, Panel({"a": both}, columns, tuple(samples), None, everything)


def _difference(panel: Panel) -> bool:
    """Whether the interval of the difference leaves 0 out."""
    found = answer(panel, prepare(panel, DIFFERENCE))
    return found.refusal is None and not found.estimates[1].low <= 0 <= found.estimates[1].high


def _prevalence(panel: Panel) -> tuple[bool, float]:
    """Whether it covers the share, and how far off it is."""
    (one,) = answer(panel, prepare(panel, ANALYSES["prevalence"])).estimates
    return one.low <= SHARE <= one.high, one.value - SHARE
