"""The fits of the stack: three nested readings of an option, each a penalised logistic regression around the texts' mean logit.

All features of a part stand in one matrix, scaled once by the rows that are learnt from; an option takes its columns of it.
The readings are prefixes of these columns: `mean` has the text models' mean logit alone, `alone` all that is known of texts and
the given values of the texts beside it, `beside` the text's other given options as well. On many rows a fit begins on some of
them and goes on over all rows with the curvature found there, so that a step costs two products with a vector (Fletcher,
Practical Methods of Optimization, chapter 3).

Every reading is fitted twice. The first fit shows how unlike each other the groups are: the design effect of a coefficient is
the variance of its score summed by group over that of independent rows (Kish 1965; Liang and Zeger 1986). One says that every
text speaks for itself; three, that a third as many do, because whole groups were read by a habit of their own. In the second
fit each coefficient is held to its prior by so much more, squared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scheme import Scheme
from models.training.logistic import curvature, fit_logistic, sigmoid

Matrix = NDArray[np.float64]
Columns = NDArray[np.float32]
"""float32 (features, texts): a feature's values stand beside each other."""

PRECISIONS = {"mean": 60.0, "own": 120.0, "given": 30.0, "rest": 240.0}
"""Prior precision of each coefficient, for features of unit spread: around 1 for the text models' mean logit, 0 for all others.
`own` is the option's own evidence and neighbours, `given` the text's other given options, `rest` the other options' logits."""
EFFECT_PRECISION = 0.5
"""Prior precision of an annotator's effect on an option's logit, or of a group's habit where annotators are not known."""
FIRST_ROWS = 4_000
"""Rows that a fit on many rows begins with."""
CONTEXT = ("before_given", "after_given", "before_2_given", "after_2_given")
"""Blocks that hold what was given to other texts of the group."""
_LEAST = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class Readings:
    """Logits of some rows in every reading of an option."""

    mean: Columns
    """float32 (rows, voices); one column without annotators."""
    alone: Columns
    beside: Columns
    """`alone` itself where the scheme has no other options that may speak."""
    effect: float
    """Mean design effect of what `beside` reads by, each at least 1."""


@dataclass(frozen=True, slots=True)
class Table:
    """The features of all texts, by name of block, and who gave the values."""

    columns: Columns
    start: dict[str, int]
    """Of each block, its first row in `columns`; a block has one row per option."""
    shares: int
    """Rows of annotators' shares, which stand before the last one, the intercept."""
    groups: NDArray[np.int64]
    """int64 (texts,): group of each text."""

    @staticmethod
    def of(blocks: dict[str, Matrix], shares: Matrix, groups: NDArray[np.int64]) -> Table:
        """blocks: float64 (texts, options) each. shares: float64 (texts, annotators). groups: int64 (texts,)."""
        texts = len(shares)
        joined = [np.asarray(block.T, dtype=np.float32) for block in blocks.values()]
        joined += [np.asarray(shares.T, dtype=np.float32), np.ones((1, texts), dtype=np.float32)]
        starts = np.cumsum([0, *(len(block) for block in joined[:-2])])
        return Table(
            np.concatenate(joined), dict(zip(blocks, starts.tolist(), strict=False)), shares.shape[1], groups
        )

    def split(self, learnt: NDArray[np.bool_], new: NDArray[np.bool_]) -> Split:
        """Rows to learn from and rows to read, around the mean and by the spread of the former; the mean logit, shares and
        intercept as they are."""
        rows = np.flatnonzero(learnt)
        rows = rows[np.argsort(self.groups[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(self.groups[rows], prepend=-1))
        known = self.columns[:, rows]
        centre = known.mean(axis=1, dtype=np.float64)
        spread = known.std(axis=1, dtype=np.float64) + 1e-6
        width = (len(self.columns) - self.shares - 1) // len(self.start)
        kept = np.zeros(len(centre), dtype=np.bool_)
        kept[self.start["mean"] : self.start["mean"] + width] = True
        kept[len(centre) - self.shares - 1 :] = True
        centre[kept], spread[kept] = 0.0, 1.0
        low, wide = (each.astype(np.float32)[:, None] for each in (centre, spread))
        return Split(rows, starts, new, (known - low) / wide, (self.columns[:, new] - low) / wide)


@dataclass(frozen=True, slots=True)
class Split:
    """The features of the rows to learn from and of those to read, scaled."""

    rows: NDArray[np.int64]
    """int64 (rows to learn from,): which they are, group by group."""
    starts: NDArray[np.int64]
    """int64 (groups,): where each group begins among them."""
    new: NDArray[np.bool_]
    """bool (texts,): rows to read."""
    known: Columns
    """float32 (features, rows to learn from)."""
    unread: Columns
    """float32 (features, rows to read)."""

    def holds(self, learnt: NDArray[np.bool_], new: NDArray[np.bool_]) -> bool:
        """Whether it is of these rows."""
        return (
            len(self.rows) == int(learnt.sum())
            and bool(learnt[self.rows].all())
            and np.array_equal(self.new, new)
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """The columns of an option in the order of the nested readings."""

    rows: NDArray[np.int64]
    """int64 (features,): rows of `Table.columns`, the mean logit first."""
    precision: Matrix
    """float64 (features,): of each coefficient's prior."""
    widths: tuple[int, int, int]
    """Features of `mean`, `alone` and `beside`."""
    aside: slice
    """Features that are learnt beside the others and not read by: annotators' shares, which every reading has, or, where
    they are not known, the group's habit, which `mean` does not have."""

    @staticmethod
    def of(table: Table, scheme: Scheme, column: int, design: str) -> Choice:
        """What an option is read by in a design."""
        start, options = table.start, len(scheme.options)
        passed = {"given", "mean", "habit", *CONTEXT}
        if not {"wide", "probe", "similar"} & start.keys():
            passed.add("logits")  # the mean is nothing else, and twice the same only weakens the prior
        mean = [start["mean"] + column]
        own = [first + column for name, first in start.items() if name not in passed]
        rest = [start["logits"] + other for other in range(options) if other != column and design == "whole"]
        last = len(table.columns) - 1
        ones, shares = [last], list(range(last - table.shares, last))
        habit = [] if shares else [start["habit"] + column]
        near = [start[name] + column for name in CONTEXT if name in start]
        given = [start["given"] + other for other in other_options(scheme, column)]
        parts = [
            (mean, PRECISIONS["mean"]), (ones, 1.0), (shares, EFFECT_PRECISION), (habit, EFFECT_PRECISION),
            (own, PRECISIONS["own"]), (rest, PRECISIONS["rest"]), (near, PRECISIONS["own"]), (given, PRECISIONS["given"]),
        ]  # fmt: skip
        first = 2 + len(shares)
        total = sum(len(rows) for rows, _ in parts)
        return Choice(
            np.array([row for rows, _ in parts for row in rows], dtype=np.int64),
            np.concatenate([np.full(len(rows), precision) for rows, precision in parts]),
            (first, total - len(given), total),
            slice(2, first + len(habit)),
        )


def other_options(scheme: Scheme, column: int) -> list[int]:
    """Options whose given values may speak: not the option itself, nor the rest of its choose_one question."""
    barred = {column}
    for cell in scheme.cells:
        if column in cell.positions:
            barred.update(cell.positions)
    return [other for other in range(len(scheme.options)) if other not in barred]


def read(choice: Choice, split: Split, truth: Matrix, effects: Matrix | None) -> Readings:
    """Every reading of the rows to read by fits on those to learn from.

    What an annotator or a whole group is in the habit of giving is in the values around a cell, too: fitted beside the habit
    itself, those say only what they say beyond it (Mundlak 1978).

    The fits begin at the prior: another part's optimum knows the values of this part's rows, and a search that stops merely
    near its optimum would carry them over.

    Args:
        choice: the option's columns.
        split: the features.
        truth: float64 (rows to learn from,), 0 or 1, in the order of `Split.rows`.
        effects: float64 (annotators, annotators), shares of each annotator were it alone; None without annotators.
    """
    unread = split.unread[choice.rows]

    def logits(coefficients: Matrix) -> Columns:
        told = coefficients.copy()
        told[choice.aside] = 0.0
        alike = (told.astype(np.float32) @ unread[: len(told)])[:, None]
        return alike if effects is None else alike + (effects @ coefficients[choice.aside]).astype(np.float32)

    mean, alone, beside = _nested(split.known[choice.rows], truth, choice, split.starts)
    return Readings(
        logits(mean.coefficients),
        logits(alone.coefficients),
        logits(beside.coefficients),
        float(np.delete(beside.effects, choice.aside).mean()),
    )


@dataclass(frozen=True, slots=True)
class _Fit:
    """Coefficients of one reading, float64 (features,), and what the next one begins with."""

    coefficients: Matrix
    effects: Matrix
    """float64 (features,): design effect of each, at least 1."""
    every_text: Matrix
    """The first fit, to which every text speaks for itself."""
    few: Matrix
    """The same on FIRST_ROWS alone; `every_text` where there are no more."""


def _nested(design: Columns, truth: Matrix, choice: Choice, starts: NDArray[np.int64]) -> list[_Fit]:
    """The fits on the first so many columns, each begun where the one before ended."""
    found: list[_Fit] = []
    for width in choice.widths:
        before = found[-1] if found else None
        if before is not None and width == len(before.coefficients):
            found.append(before)
            continue
        found.append(_fitted(design[:width], truth, choice, starts, before))
    return found


def _fitted(
    design: Columns, truth: Matrix, choice: Choice, starts: NDArray[np.int64], before: _Fit | None
) -> _Fit:
    """Fit, see how far groups bear it out, and fit again. design: float32 (features, rows)."""
    held, prior = choice.precision[: len(design)], _widened(np.ones(1), len(design))
    few, start, bent = _begun(design, truth, prior, held, before)
    every_text = fit_logistic(design.T, truth, prior, held, start=start, hessian=bent)
    effects = _design_effects(design, truth - sigmoid(every_text @ design), starts)
    effects[choice.aside] = 1.0
    more = held * effects**2
    if bent is not None:
        bent = bent + np.diag(more - held)
    found = fit_logistic(design.T, truth, prior, more, start=every_text, hessian=bent)
    return _Fit(found, effects, every_text, every_text if few is None else few)


def _begun(
    design: Columns, truth: Matrix, prior: Matrix, held: Matrix, before: _Fit | None
) -> tuple[Matrix | None, Matrix, Matrix | None]:
    """The fit on some of many rows, where a fit on all of them starts, and the curvature there; None for what few rows do without."""
    width, apart = len(design), design.shape[1] // FIRST_ROWS
    start = prior if before is None else _widened(before.every_text, width)
    if apart <= 1:
        return None, start, None
    some, said = np.ascontiguousarray(design[:, ::apart]).T, truth[::apart]
    begun = prior if before is None else _widened(before.few, width)
    few = fit_logistic(some, said, prior, held / apart, start=begun)
    # Where the narrower fit moved when it saw all rows, the wider one will move, too.
    return few, few + start - begun, apart * curvature(some, few, held / apart)


def _design_effects(columns: Columns, missed: Matrix, starts: NDArray[np.int64]) -> Matrix:
    """Of each coefficient, at least 1: the sum of its squared scores by group over that by row. float64 (features,).

    columns: float32 (features, rows), group by group. missed: (rows,), truth less its probability. starts: of each group.
    """
    scores = columns * missed.astype(np.float32)
    grouped = np.add.reduceat(scores, starts, axis=1)
    alone = np.einsum("fr,fr->f", scores, scores)
    found = np.einsum("fg,fg->f", grouped, grouped) / np.maximum(alone, _LEAST)
    return np.asarray(np.maximum(found, 1.0), dtype=np.float64)


def _widened(found: Matrix, width: int) -> Matrix:
    """Coefficients with nothing for the columns that they lack: float64 (width,)."""
    start = np.zeros(width)
    start[: len(found)] = found
    return start
