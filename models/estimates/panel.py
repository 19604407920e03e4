"""A corpus as estimates see it, an analysis of it, and an analysis made ready. Numpy only: the api uses it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.estimates.draws import Draw, pooled

Kind = Literal["prevalence", "difference", "linear", "logistic"]
Vector = NDArray[np.float64]
INTERCEPT = "(intercept)"


@dataclass(frozen=True, slots=True)
class Term:
    """An outcome or covariate: a label (option key) or a column of the texts."""

    label: str | None = None
    column: str | None = None
    categorical: bool | None = None
    """None: as the values are, numbers or not."""
    reference: str | None = None
    """The level that others are compared with; None: the most frequent one."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """One question to the corpus."""

    kind: Kind
    outcome: Term
    covariates: tuple[Term, ...] = ()
    drop_missing: bool = False
    """Leave out texts without a value of a column; else such texts refuse the analysis."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels at stake, the outcome first."""
        return tuple(term.label for term in (self.outcome, *self.covariates) if term.label is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns at stake."""
        return tuple(term.column for term in (self.outcome, *self.covariates) if term.column is not None)


@dataclass(frozen=True, slots=True)
class Label:
    """One option in three readings; all (texts,)."""

    student: NDArray[np.int8]
    """1, 0, -1 missing: the label given before the sample was drawn."""
    probability: Vector
    """float64: the model's, held out; NaN where there is none."""
    expert: NDArray[np.int8]
    """1, 0, -1 where the text was not drawn, or nobody settled it."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One audit sample of a panel; both (texts,)."""

    stratum: NDArray[np.int64]
    """int64: -1 for texts that were not in its frame."""
    drawn: NDArray[np.bool_]

    @property
    def frame(self) -> NDArray[np.bool_]:
        """bool (texts,): texts that it was drawn from."""
        return np.asarray(self.stratum >= 0)

    @property
    def inclusion(self) -> Vector:
        """float64 (texts,): n_h / N_h; 0 outside of the frame."""
        return self.settled(self.drawn)

    def settled(self, sampled: NDArray[np.bool_]) -> Vector:
        """float64 (texts,): π where only these of the drawn texts count, which are taken to be like the others of their stratum."""
        frame = self.frame
        strata = int(self.stratum.max()) + 1
        read = np.bincount(self.stratum[self.drawn & sampled & frame], minlength=strata)
        share = read / np.maximum(np.bincount(self.stratum[frame], minlength=strata), 1)
        return np.asarray(np.where(frame, share[self.stratum], 0.0))


@dataclass(frozen=True, slots=True)
class Panel:
    """Every text that could have been drawn."""

    labels: Mapping[str, Label]
    columns: Mapping[str, Sequence[Any]]
    """Metadata and grouping keys, per text str, float, int, bool or None."""
    samples: tuple[Drawn, ...]
    """One, or several that were drawn independently of each other, the oldest first."""
    clusters: NDArray[np.int64] | None
    """int64 (texts,), counted from 0; None: every text for itself."""
    where: NDArray[np.bool_]
    """bool (texts,): the texts that are asked about."""

    @property
    def drawn(self) -> NDArray[np.bool_]:
        """bool (texts,): by any of the samples."""
        return np.asarray(np.any([one.drawn for one in self.samples], axis=0))

    @property
    def shares(self) -> list[Vector]:
        """How much of a text's weight each sample carries, float64 (texts,): as much as it drew of its frame, among those whose frame has the text."""
        rates = [one.frame * (one.drawn.sum() / one.frame.sum()) for one in self.samples]
        whole = np.sum(rates, axis=0)
        return [np.asarray(rate / np.where(whole > 0, whole, 1.0)) for rate in rates]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a design: the intercept, a label, numbers, or a level of a category."""

    name: str
    label: str | None = None
    column: str | None = None
    level: str | None = None
    values: Vector | None = None
    """float64 (texts,), 0 outside; None for a label, whose values depend on who read."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An analysis with its numbers; arrays are (texts,)."""

    analysis: Analysis
    design: tuple[Column, ...]
    outcome: Column
    inside: NDArray[np.bool_]
    """Asked about, with a value of every column."""
    sampled: NDArray[np.bool_]
    """Drawn, with a settled value of every label at stake."""
    draws: tuple[Draw, ...]
    """One for each sample, π less those of the stratum that nobody settled."""
    skipped: int
    """Drawn texts without a settled value."""
    left_out: int
    """Texts without a value of a column."""
    events: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Expert labels yes and no among the texts asked about, by label (and the outcome's, where it is a column of yes and no)."""
    rarest: int = 0
    """The fewest expert labels of a value."""
    clusters: int = 0
    references: dict[str, str] = field(default_factory=dict)
    """The level without a coefficient, by categorical column."""
    refusal: str | None = None

    @property
    def inclusion(self) -> Vector:
        """float64 (texts,): π; of several samples 1 over the weight of texts that were read, and the chance of being read at all of others."""
        return pooled(self.draws).inclusion

    @property
    def base_level(self) -> str:
        """The group that the others are compared with, of a difference."""
        return next(iter(self.references.values()), "")

    @property
    def names(self) -> list[str]:
        """Of the coefficients."""
        return [column.name for column in self.design]

    @property
    def read(self) -> int:
        """Expert-read texts among those asked about."""
        return int((self.sampled & self.inside).sum())


class Refused(Exception):
    """An analysis that cannot be made; the words say why."""
