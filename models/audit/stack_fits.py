"""The fits of the stack: three nested readings of an option, each a penalised logistic regression around the texts' mean logit.

All features of a part stand in one matrix, scaled once by the rows that are learnt from; an option takes its columns of it.
The readings are prefixes of these columns: `apart` has the texts alone, `alone` the given values of the texts beside it too,
`beside` the text's other given options as well. On many rows a fit begins on some of them and goes on over all rows
with the curvature found there, so that a step costs two products with a vector (Fletcher, Practical Methods of
Optimization, chapter 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scheme import Scheme
from models.training.logistic import curvature, fit_logistic

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


@dataclass(frozen=True, slots=True)
class Readings:
    """Logits of some rows in every reading of an option."""

    apart: Columns
    """float32 (rows, voices); one column without annotators."""
    alone: Columns
    beside: Columns
    """`alone` itself where the scheme has no other options that may speak."""


@dataclass(frozen=True, slots=True)
class Table:
    """The features of all texts, by name of block, and who gave the values."""

    columns: Columns
    start: dict[str, int]
    """Of each block, its first row in `columns`; a block has one row per option."""
    shares: int
    """Rows of annotators' shares, which stand before the last one, the intercept."""

    @staticmethod
    def of(blocks: dict[str, Matrix], shares: Matrix) -> Table:
        """blocks: float64 (texts, options) each. shares: float64 (texts, annotators)."""
        texts = len(shares)
        joined = [np.asarray(block.T, dtype=np.float32) for block in blocks.values()]
        joined += [np.asarray(shares.T, dtype=np.float32), np.ones((1, texts), dtype=np.float32)]
        starts = np.cumsum([0, *(len(block) for block in joined[:-2])])
        return Table(
            np.concatenate(joined), dict(zip(blocks, starts.tolist(), strict=False)), shares.shape[1]
        )

    def split(self, learnt: NDArray[np.bool_], new: NDArray[np.bool_]) -> Split:
        """Rows to learn from and rows to read, around the mean and by the spread of the former; the mean logit, shares and
        intercept as they are."""
        known = self.columns[:, learnt]
        centre = known.mean(axis=1, dtype=np.float64)
        spread = known.std(axis=1, dtype=np.float64) + 1e-6
        width = (len(self.columns) - self.shares - 1) // len(self.start)
        kept = np.zeros(len(centre), dtype=np.bool_)
        kept[self.start["mean"] : self.start["mean"] + width] = True
        kept[len(centre) - self.shares - 1 :] = True
        centre[kept], spread[kept] = 0.0, 1.0
        low, wide = (each.astype(np.float32)[:, None] for each in (centre, spread))
        return Split(learnt, new, (known - low) / wide, (self.columns[:, new] - low) / wide)


@dataclass(frozen=True, slots=True)
class Split:
    """The features of the rows to learn from and of those to read, scaled."""

    learnt: NDArray[np.bool_]
    """bool (texts,)."""
    new: NDArray[np.bool_]
    known: Columns
    """float32 (features, rows to learn from)."""
    unread: Columns
    """float32 (features, rows to read)."""

    def holds(self, learnt: NDArray[np.bool_], new: NDArray[np.bool_]) -> bool:
        """Whether it is of these rows."""
        return np.array_equal(self.learnt, learnt) and np.array_equal(self.new, new)


@dataclass(frozen=True, slots=True)
class Choice:
    """The columns of an option in the order of the nested readings."""

    rows: NDArray[np.int64]
    """int64 (features,): rows of `Table.columns`; the mean logit first, intercept and shares at the end of `apart`."""
    precision: Matrix
    """float64 (features,): of each coefficient's prior."""
    widths: tuple[int, int, int]
    """Features of `apart`, `alone` and `beside`."""
    aside: int
    """The last features of `apart`, which are learnt beside the others and not read by: annotators' shares or, where they are
    not known, the group's habit."""

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
        aside = shares or [start["habit"] + column]
        near = [start[name] + column for name in CONTEXT if name in start]
        given = [start["given"] + other for other in other_options(scheme, column)]
        parts = [
            (mean, PRECISIONS["mean"]), (own, PRECISIONS["own"]), (rest, PRECISIONS["rest"]), (ones, 1.0),
            (aside, EFFECT_PRECISION), (near, PRECISIONS["own"]), (given, PRECISIONS["given"]),
        ]  # fmt: skip
        apart = sum(len(rows) for rows, _ in parts[:5])
        return Choice(
            np.array([row for rows, _ in parts for row in rows], dtype=np.int64),
            np.concatenate([np.full(len(rows), precision) for rows, precision in parts]),
            (apart, apart + len(near), apart + len(near) + len(given)),
            len(aside),
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
        truth: float64 (rows to learn from,), 0 or 1.
        effects: float64 (annotators, annotators), shares of each annotator were it alone; None without annotators.
    """
    design, aside = split.known[choice.rows], split.unread[choice.rows]
    habits = slice(choice.widths[0] - choice.aside, choice.widths[0])
    found: list[Columns] = []
    for coefficients in _nested(design, truth, choice.precision, choice.widths):
        used = aside[: len(coefficients)]
        told = coefficients.copy()
        told[habits] = 0.0
        logits = (told.astype(np.float32) @ used)[:, None]
        found.append(
            logits if effects is None else logits + (effects @ coefficients[habits]).astype(np.float32)
        )
    return Readings(*found)


def _nested(design: Columns, truth: Matrix, precision: Matrix, widths: Sequence[int]) -> list[Matrix]:
    """Coefficients of the fits on the first so many columns, each begun where the one before ended."""
    apart = design.shape[1] // FIRST_ROWS
    some, said = np.ascontiguousarray(design[:, :: max(apart, 1)]), truth[:: max(apart, 1)]
    found: list[Matrix] = []
    first: list[Matrix] = []
    for width in widths:
        if found and width == len(found[-1]):
            found.append(found[-1])
            first.append(first[-1])
            continue
        prior = np.zeros(width)
        prior[0] = 1.0
        columns, held = design[:width].T, precision[:width]
        if apart <= 1:
            found.append(fit_logistic(columns, truth, prior, held, start=_begun(found, prior)))
            first.append(found[-1])
            continue
        few = some[:width].T
        first.append(fit_logistic(few, said, prior, held / apart, start=_begun(first, prior)))
        bent = apart * curvature(few, first[-1], held / apart)
        # Where the narrower fit moved when it saw all rows, the wider one will move, too.
        start = first[-1] + (_begun(found, np.zeros(width)) - _begun(first[:-1], np.zeros(width)))
        found.append(fit_logistic(columns, truth, prior, held, start=start, hessian=bent))
    return found


def _begun(found: Sequence[Matrix], otherwise: Matrix) -> Matrix:
    """The last of some coefficients, with nothing for the columns that they lack."""
    if not found:
        return otherwise
    start = np.zeros(len(otherwise))
    start[: len(found[-1])] = found[-1]
    return start
