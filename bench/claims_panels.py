"""Corpora of two labels as estimates see them, with clusters of any shape, and the coverage of every coefficient over many of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from bench.claims_drawing import share
from models.audit.sample.design import AuditDesign, spread_over_strata
from models.estimates.answers import answer
from models.estimates.moments import solve_naive
from models.estimates.panel import Analysis, Drawn, Label, Panel, Term
from models.estimates.preparing import prepare
from models.training.logistic import sigmoid

Vector = NDArray[np.float64]
Clusters = NDArray[np.int64]
Strata = NDArray[np.int64]
LARGE = 400_000
"""Texts of the population that coefficients are taken from, four to a cluster: sizes change nothing in the marginal law."""
_A, _B, _X = Term("a"), Term("b"), Term(column="x")
_Z = Term(column="z", categorical=True, reference="0")
ANALYSES = {
    "prevalence": Analysis("prevalence", _A),
    "groups and their difference": Analysis("difference", _A, (_Z,)),
    "logistic, label of label and x": Analysis("logistic", _A, (_B, _X)),
    "linear, label of label and x": Analysis("linear", _A, (_B, _X)),
    "logistic, both labels are covariates": Analysis("logistic", Term(column="won"), (_A, _B)),
}


@dataclass(frozen=True, slots=True)
class Texts:
    """True labels and columns; all (texts,)."""

    x: Vector
    z: NDArray[np.int64]
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    won: NDArray[np.int64]

    @staticmethod
    def of(clusters: Clusters, rng: np.random.Generator) -> Texts:
        """Texts of these clusters, which have effects on x and on both labels."""
        size = len(clusters)
        effect = rng.standard_normal((int(clusters.max()) + 1, 3))[clusters]
        x = 0.8 * rng.standard_normal(size) + 0.6 * effect[:, 0]
        z = _yes(np.full(size, 0.4), rng)
        b = _yes(sigmoid(-0.5 + 0.6 * x + 0.6 * effect[:, 1]), rng)
        a = _yes(sigmoid(-1 + 0.7 * x + 0.8 * b - 0.5 * z + 0.6 * effect[:, 2]), rng)
        return Texts(x, z, a, b, _yes(sigmoid(-0.3 + 0.8 * a - 0.4 * b + 0.3 * effect[:, 0]), rng))

    @property
    def columns(self) -> dict[str, list[Any]]:
        """As a panel has them."""
        return {"x": self.x.tolist(), "z": self.z.astype(str).tolist(), "won": self.won.tolist()}


@dataclass(frozen=True, slots=True)
class Given:
    """What student and model say of a label; both (texts,)."""

    student: NDArray[np.int64]
    probability: Vector

    @staticmethod
    def of(true: NDArray[np.int64], x: Vector, rng: np.random.Generator) -> Given:
        """Students err four times as often where x is above 0."""
        probability = np.asarray(sigmoid(2.5 * (true - 0.5) + 0.5 * x + rng.standard_normal(len(x))))
        errs = rng.random(len(x)) < np.where(x > 0, 0.2, 0.05)
        return Given(np.where(errs, 1 - true, true), probability)

    @property
    def doubt(self) -> Vector:
        """How far the model is from the label."""
        return np.asarray(np.abs(self.student - self.probability))

    def beside(self, true: NDArray[np.int64], settled: NDArray[np.bool_]) -> Label:
        """With the experts' values of these texts."""
        expert = np.where(settled, true, -1).astype(np.int8)
        return Label(self.student.astype(np.int8), self.probability, expert)


def _yes(chance: Vector, rng: np.random.Generator) -> NDArray[np.int64]:
    return (rng.random(len(chance)) < chance).astype(np.int64)


def truth(seed: int) -> dict[str, Vector]:
    """Coefficients of a large population."""
    of = Texts.of(np.arange(LARGE) // 4, np.random.default_rng([seed, 71]))
    one, z = np.ones(LARGE), of.z.astype(np.float64)
    a, b, won = (values.astype(np.float64) for values in (of.a, of.b, of.won))
    designs = {
        "groups and their difference": (a, [one, z], "linear"),
        "logistic, label of label and x": (a, [one, b, of.x], "logistic"),
        "linear, label of label and x": (a, [one, b, of.x], "linear"),
        "logistic, both labels are covariates": (won, [one, a, b], "logistic"),
    }
    solved = {
        name: solve_naive(y, np.column_stack(design), link).coefficients  # type: ignore[arg-type]
        for name, (y, design, link) in designs.items()
    }
    return {"prevalence": np.array([a.mean()]), **solved}


def draw(design: AuditDesign, doubt: Vector, frame: NDArray[np.bool_], rng: np.random.Generator) -> Drawn:
    """An audit sample of the texts of a frame, stratified by doubt."""
    stratum, rows = np.full(len(doubt), -1, dtype=np.int64), np.flatnonzero(frame)
    bands, _, taken = spread_over_strata(design, len(rows), doubt[rows].astype(np.float32))
    stratum[rows] = bands
    sampled = np.zeros(len(doubt), dtype=np.bool_)
    for h, count in enumerate(taken):
        sampled[rng.choice(np.flatnonzero(stratum == h), count, replace=False)] = True
    return Drawn(stratum, sampled)


def covered(
    make: Callable[[], Panel], true: Mapping[str, Vector], analyses: Mapping[str, Analysis], times: int
) -> dict[str, Any]:
    """Coverage of every coefficient over that many panels, that of clusters merely counted, refusals, and the first coefficient's bias in spreads."""
    held: dict[str, list[list[bool]]] = {name: [] for name in analyses}
    counted: dict[str, list[list[bool]]] = {name: [] for name in analyses}
    errors: dict[str, list[float]] = {name: [] for name in analyses}
    refused: dict[str, int] = {}
    for _ in range(times):
        panel = make()
        for name, analysis in analyses.items():
            found = answer(panel, prepare(panel, analysis))
            if found.refusal is not None:
                refused[found.refusal] = refused.get(found.refusal, 0) + 1
                continue
            pairs = list(zip(found.estimates, true[name].tolist(), strict=True))
            held[name].append([one.low <= value <= one.high for one, value in pairs])
            quantile = student_t.ppf(0.975, found.prepared.clusters - len(pairs))
            counted[name].append([abs(one.value - value) <= quantile * one.standard_error for one, value in pairs])  # fmt: skip
            errors[name].append(pairs[0][0].value - pairs[0][1])
    coverage, plain = (
        {name: [share(list(column)) for column in zip(*each, strict=True)] for name, each in kept.items()}
        for kept in (held, counted)
    )
    return {"coverage": coverage, "counted": plain, "refused": sum(refused.values()), "reasons": refused,
            "bias": {name: float(np.mean(each) / np.std(each)) if np.std(each or [0]) else 0.0 for name, each in errors.items()}}  # fmt: skip


def told(found: Mapping[str, Any]) -> str:
    """Coverage of all coefficients, one analysis a cell, and refusals."""
    cells = [" ".join(f"{value:.3f}" for value in found["coverage"].get(name, [])) for name in ANALYSES]
    return " | ".join([*cells, str(found["refused"])])
