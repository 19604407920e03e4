"""Estimates for the paper: does every coefficient's interval cover, with a label as outcome and as covariate?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from models.audit.sample.design import AuditDesign, spread_over_strata
from models.estimates.draws import ExpertSample
from models.estimates.moments import Link, Readings, UnsettledError, solve, solve_naive
from models.estimates.regression import Refusal, prevalence
from models.estimates.sample import cross_fitted_labels, label_features
from models.training.logistic import sigmoid


@dataclass(frozen=True, slots=True)
class Size:
    """Of a simulated corpus and the sample of it."""

    texts: int
    clusters: int
    read: int


USUAL, FEW = Size(3000, 200, 500), Size(600, 30, 200)
LARGE = 600_000
"""Texts of the population that coefficients without a closed form are taken from."""
RARE = -5.2
"""Intercept of a label that about 2 % of texts have."""

Vector = NDArray[np.float64]
Case = tuple[str, Link, Vector, NDArray[np.float64]]


class _Corpus:
    """Texts in clusters with a true label, covariates, a student's label, a model's probability and two outcomes of the label."""

    def __init__(self, texts: int, clusters: int, rng: np.random.Generator) -> None:
        self.clusters = rng.integers(clusters, size=texts)
        effect = 0.5 * rng.standard_normal(clusters)[self.clusters]
        self.x = rng.standard_normal(texts) + 0.5 * rng.standard_normal(clusters)[self.clusters]
        self.z = (rng.random(texts) < 0.4).astype(np.float64)
        self.label = (rng.random(texts) < sigmoid(-1 + 0.8 * self.x - 0.6 * self.z + effect)).astype(
            np.float64
        )
        seen = 0.7 * self.label + 0.3 * self.x + 0.5 * rng.standard_normal(texts)
        self.probability = np.asarray(sigmoid(2 * (seen - 0.4)))
        errs = np.where(self.label == 1, 0.15 + 0.1 * self.z, 0.05 + 0.05 * (self.x > 0))
        self.student = np.where(rng.random(texts) < errs, 1 - self.label, self.label)
        self.amount = 1 + 0.5 * self.label + 0.7 * self.x + 0.4 * effect + rng.standard_normal(texts)
        self.won = (
            rng.random(texts) < sigmoid(-0.5 + 0.9 * self.label - 0.5 * self.x + 0.3 * effect)
        ).astype(np.float64)

    def cases(self, label: Vector) -> list[Case]:
        """Regressions with this reading of the label."""
        one = np.ones(len(label))
        outside, inside = np.column_stack([one, self.x, self.z]), np.column_stack([one, label, self.x])
        return [
            ("linear, label is the outcome", "linear", label, outside),
            ("logistic, label is the outcome", "logistic", label, outside),
            ("linear, label is a covariate", "linear", self.amount, inside),
            ("logistic, label is a covariate", "logistic", self.won, inside),
            ("groups and their difference", "linear", label, np.column_stack([one, self.z])),
        ]


def estimates(draws: int, seed: int) -> dict[str, Any]:
    """Coverage of each coefficient beside the naive interval's, and the standard error beside that without predictions."""
    truth = _truth(seed)
    found: dict[str, Any] = {}
    for place, (name, size) in enumerate((("usual", USUAL), ("few", FEW))):
        found[name] = _covered(draws, np.random.default_rng([seed, 7, place]), truth, size)
        _print(found[name], draws, size)
    rare = _rare(draws, np.random.default_rng([seed, 8]))
    print(
        f"rare label ({rare['share']:.1%}, {USUAL.read} read), interval for rare counts {rare['coverage']:.3f}"
    )
    return {**found["usual"], "few_clusters": found["few"], "rare": rare}


def _covered(
    draws: int, rng: np.random.Generator, truth: tuple[dict[str, Vector], float], size: Size
) -> dict[str, Any]:
    """Draw by draw: a corpus, a sample, every regression with predictions, without, and naive."""
    coefficients, share = truth
    covered, naive, gain = ({name: [] for name in coefficients} for _ in range(3))
    shares, refused = [], 0
    for _ in range(draws):
        corpus = _Corpus(size.texts, size.clusters, rng)
        sample = _sample(corpus, rng, size.read)
        said = _predicted(corpus, sample)
        found = prevalence(corpus.label, said, sample)
        shares.append(not isinstance(found, Refusal) and found.low <= share <= found.high)
        for name, readings, (student, design), link in _readings(corpus, said):
            try:
                solved = solve(readings, sample, link)
                alone = solve(readings, sample, link, 0.0)
                plain = solve_naive(student, design, link, sample.clusters)
            except UnsettledError:
                refused += 1
                continue
            for kept, one in ((covered, solved), (naive, plain)):
                half = student_t.ppf(0.975, one.freedom) * np.sqrt(np.diag(one.covariance))
                kept[name].append(np.abs(one.coefficients - coefficients[name]) <= half)
            gain[name].append(np.sqrt(np.diag(solved.covariance) / np.diag(alone.covariance)))
    rows = [
        {"regression": name, "coverage": np.mean(covered[name], axis=0).tolist(), "naive": np.mean(naive[name], axis=0).tolist(),
         "error_beside_experts_alone": np.mean(gain[name], axis=0).tolist()}
        for name in coefficients
    ]  # fmt: skip
    return {"rows": rows, "prevalence": float(np.mean(shares)), "unsettled": refused}


def _predicted(corpus: _Corpus, sample: ExpertSample) -> Vector:
    beside = [
        label_features(corpus.student.astype(np.int8), corpus.probability),
        corpus.x,
        corpus.z,
        corpus.amount,
        corpus.won,
    ]
    return cross_fitted_labels(corpus.label, np.column_stack(beside), sample)


def _readings(corpus: _Corpus, said: Vector) -> Iterator[tuple[str, Readings, tuple[Vector, Any], Link]]:
    """Each regression with the expert's and the predicted label, and with the student's."""
    cases = zip(corpus.cases(corpus.label), corpus.cases(said), corpus.cases(corpus.student), strict=True)
    for (name, link, y, X), (_, _, y_said, X_said), (_, _, y_student, X_student) in cases:
        yield name, Readings(y, y_said, X, X_said), (y_student, X_student), link


def _print(found: dict[str, Any], draws: int, size: Size) -> None:
    print(
        f"\n## Estimates: {size.texts:,} texts in {size.clusters} clusters, {size.read} read by experts (5 bands), {draws:,} draws; goal .93 to .97"
    )
    print(
        "| regression | coverage of each coefficient | naive | standard error beside experts alone |\n|---|---|---|---|"
    )
    for row in found["rows"]:
        print("| " + " | ".join([row["regression"], *(" ".join(f"{v:.3f}" for v in row[k]) for k in ("coverage", "naive", "error_beside_experts_alone"))]) + " |")  # fmt: skip
    print(f"prevalence {found['prevalence']:.3f}; unsettled {found['unsettled']}")


def _sample(corpus: _Corpus, rng: np.random.Generator, read: int, clustered: bool = True) -> ExpertSample:
    """Five bands of the model's probability, guarded allocation."""
    texts = len(corpus.label)
    stratum, sizes, taken = spread_over_strata(
        AuditDesign(read, 0, bands=5), texts, corpus.probability.astype(np.float32)
    )
    sampled = np.zeros(texts, dtype=np.bool_)
    for h, count in enumerate(taken):
        sampled[rng.choice(np.flatnonzero(stratum == h), count, replace=False)] = True
    clusters = np.unique(corpus.clusters, return_inverse=True)[1] if clustered else None
    return ExpertSample(sampled, (taken / sizes)[stratum], stratum.astype(np.int64), clusters)


def _truth(seed: int) -> tuple[dict[str, Vector], float]:
    """Coefficients of a large population."""
    corpus = _Corpus(LARGE, LARGE // 15, np.random.default_rng([seed, 99]))
    solved = {name: solve_naive(y, X, link).coefficients for name, link, y, X in corpus.cases(corpus.label)}
    return solved, float(corpus.label.mean())


def _rare(draws: int, rng: np.random.Generator) -> dict[str, float]:
    """A label of few texts, without clusters."""
    covered = []
    true = float(sigmoid(RARE + 1.5 * np.random.default_rng(1).standard_normal(1_000_000)).mean())
    for _ in range(draws):
        corpus = _Corpus(USUAL.texts, USUAL.clusters, rng)
        odds = RARE + 1.5 * rng.standard_normal(USUAL.texts)
        label = (rng.random(USUAL.texts) < sigmoid(odds)).astype(np.float64)
        corpus.probability = np.asarray(sigmoid(odds + 0.5 * rng.standard_normal(USUAL.texts)))
        sample = _sample(corpus, rng, USUAL.read, clustered=False)
        found = prevalence(label, corpus.probability, sample)
        covered.append(not isinstance(found, Refusal) and found.low <= true <= found.high)
    return {"share": true, "coverage": float(np.mean(covered))}
