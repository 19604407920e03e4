"""How far annotators agree, cell by cell, among those who can be compared. Pure, no SQL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.corpora.rules import Counting, positions
from models.audit.annotators.agreement import DRAWS, Coefficient, OptionAgreement, agreement_on
from models.audit.annotators.overlap import FEWEST, Overlap, overlap
from models.audit.annotators.votes import Answers, Votes, chosen_answers, yes_no_answers
from models.scheme import Cell, Scheme

FEW = f"not comparable: fewer than {FEWEST} texts were answered by two of them"
NEVER_VARIES = "not defined: everybody always gave the same answer"


def agreement_document(
    scheme: Scheme, given: Counting, names: Mapping[int, str], seed: int = 0
) -> dict[str, Any]:
    """Overlap, and per cell of the scheme the coefficients of every group of annotators that shares enough texts.

    Args:
        scheme: the corpus's newest scheme.
        given: the values of one codebook version.
        names: of annotators by id.
        seed: of the bootstrap.
    """
    people, votes = votes_of(given, names)
    if not people:
        return {"annotators": [], "shared": [], "groups": [], "not_comparable": [], "cells": []}
    found = overlap(votes)
    groups = connected(found)
    cells = [_cell(cell, answers_on(scheme, cell, votes), groups, people, seed) for cell in scheme.cells]
    return {
        "annotators": people,
        "shared": found.shared.tolist(),
        "groups": [[people[member] for member in group] for group in groups],
        "not_comparable": not_comparable(found, groups, people),
        "cells": cells,
    }


def votes_of(given: Counting, names: Mapping[int, str]) -> tuple[list[str], Votes]:
    """Annotators by name, and their votes in that order; rows as in `given`."""
    texts, rows = np.unique(given.texts, return_inverse=True)
    ids, who = np.unique(given.annotators, return_inverse=True)
    order = sorted(range(len(ids)), key=lambda place: names[int(ids[place])])
    place = np.argsort(np.array(order, dtype=np.int64))
    people = [names[int(ids[number])] for number in order]
    return people, Votes(rows, place[who].astype(np.int64), given.values, len(texts), len(people))


def connected(found: Overlap) -> list[list[int]]:
    """Annotators who are connected by enough shared texts; whoever shares too few with anybody is in none."""
    components = [np.flatnonzero(found.component == number).tolist() for number in np.unique(found.component)]
    return [component for component in components if len(component) > 1]


def not_comparable(found: Overlap, groups: Sequence[Sequence[int]], people: Sequence[str]) -> list[str]:
    """Who cannot be compared with whom, in words."""
    grouped = {member for group in groups for member in group}
    said = [
        f"{people[person]} shares at most {int(np.delete(found.shared[person], person).max(initial=0)):,} texts with anybody, "
        f"below {found.fewest}: not comparable with the others."
        for person in range(len(people))
        if person not in grouped
    ]
    if len(groups) > 1:
        said.append(
            f"There are {len(groups)} groups that fewer than {found.fewest} shared texts connect: their numbers stand beside each other "
            "and are not comparable."
        )
    return said


def answers_on(scheme: Scheme, cell: Cell, votes: Votes) -> Answers:
    """The votes on a cell of the scheme."""
    if cell.option is not None:
        return yes_no_answers(votes, cell.positions[0])
    question = next(question for question in scheme.questions if question.key == cell.question)
    return chosen_answers(votes, positions(question))


def _cell(
    cell: Cell, answers: Answers, groups: Sequence[Sequence[int]], people: Sequence[str], seed: int
) -> dict[str, Any]:
    return {
        "question": cell.question,
        "option": cell.option,
        "groups": [_group(number, _of(answers, group), people, seed) for number, group in enumerate(groups)],
    }


def _of(answers: Answers, group: Sequence[int]) -> Answers:
    """The answers of some annotators."""
    rows: NDArray[np.bool_] = np.isin(answers.annotators, group)
    return replace(answers, texts=answers.texts[rows], annotators=answers.annotators[rows], chosen=answers.chosen[rows])  # fmt: skip


def _group(number: int, answers: Answers, people: Sequence[str], seed: int) -> dict[str, Any]:
    found = agreement_on(answers, DRAWS, seed)
    enough = found.alpha.texts >= FEWEST
    return {
        "group": number,
        "texts": found.alpha.texts,
        "percent": found.percent if enough else None,
        "alpha": _told(found.alpha, enough=enough),
        "fleiss": _told(found.fleiss, enough=enough),
        "pairs": _pairs(found, people),
    }


def _pairs(found: OptionAgreement, people: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"first": people[pair.first], "second": people[pair.second], "texts": pair.kappa.texts,
         "kappa": _told(pair.kappa, enough=pair.kappa.texts >= FEWEST)}
        for pair in found.pairs
    ]  # fmt: skip


def _told(found: Coefficient, *, enough: bool) -> dict[str, Any]:
    """A coefficient for JSON, which knows no NaN; without a value the reason."""
    if not enough or not math.isfinite(found.value):
        return {"value": None, "low": None, "high": None, "reason": NEVER_VARIES if enough else FEW}
    ends = [end if math.isfinite(end) else None for end in (found.low, found.high)]
    return {"value": found.value, "low": ends[0], "high": ends[1], "reason": None}
