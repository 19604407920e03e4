"""Findings as a ranking stores them: what is wrong, and the cells that a person can decide. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.audit.findings import Conflict, Violation
from models.scheme import MISSING, Labels, Scheme
from workers.relabel.scoring import Scored

Place = tuple[int, int]
"""(row of the text, cell)."""


@dataclass(frozen=True, slots=True)
class Found:
    """One finding."""

    kind: Literal["violation", "conflict"]
    text: int
    """Row of the text."""
    other: int | None
    """Row of the other text of a conflict."""
    detail: dict[str, Any]
    cells: tuple[Place, ...]
    """Cells that a person can decide, those of the first text first."""


def found_in(scored: Scored) -> list[Found]:
    """Broken dependencies, then conflicts; without those that people have settled as they are, cell by cell."""
    broken, differing = scored.found
    labels, scheme = scored.reading.labels, scored.scheme
    every = [*_violations(broken, labels, scheme), *_conflicts(differing)]
    return [found for found in every if not _all_settled(found.cells, scored.settled)]


def cells_of(found: Sequence[Found]) -> list[Place]:
    """Every cell that a finding names, once, in the order of the findings."""
    return list(dict.fromkeys(place for finding in found for place in finding.cells))


def _violations(broken: Sequence[Violation], labels: Labels, scheme: Scheme) -> Iterator[Found]:
    place = {
        scheme.option_keys[position]: number
        for number, cell in enumerate(scheme.cells)
        for position in cell.positions
    }
    for violation in broken:
        cells = dict.fromkeys(place[key] for key in (violation.option, *violation.needs_any))
        decidable = tuple(
            (violation.text, cell) for cell in cells if _given(labels, violation.text, scheme, cell)
        )
        detail = {"option": violation.option, "needs_any": list(violation.needs_any)}
        yield Found("violation", violation.text, None, detail, decidable)


def _conflicts(differing: Sequence[Conflict]) -> Iterator[Found]:
    for conflict in differing:
        cells = tuple((text, cell) for text in (conflict.first, conflict.second) for cell in conflict.cells)
        yield Found("conflict", conflict.first, conflict.second, {"likeness": conflict.kind}, cells)


def _given(labels: Labels, text: int, scheme: Scheme, cell: int) -> bool:
    return bool((labels[text, list(scheme.cells[cell].positions)] != MISSING).all())


def _all_settled(cells: Sequence[Place], settled: NDArray[np.bool_]) -> bool:
    return all(settled[place] for place in cells)
