"""Consensus: the value in force for every cell, from the annotators' newest values. Pure numpy, no SQL.

A codebook version is a different instrument: values given under an older one never vote against values given under a newer one.
Uncertain and not applicable are values but no votes. A tie is missing, and listed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from models.scheme import MISSING, NO, NOT_APPLICABLE, UNCERTAIN, YES, Labels, Question, QuestionKind, Scheme


@dataclass(frozen=True, slots=True)
class Annotations:
    """Annotations of one question, one row per occasion, oldest first (by `annotated_at`, undated ones before all others, then by id)."""

    texts: NDArray[np.int64]
    """int64 (rows,): row of the text in the result."""
    annotators: NDArray[np.int64]
    """int64 (rows,): annotator ids."""
    codebooks: NDArray[np.int64]
    """int64 (rows,): rank of the codebook version, the newest highest (`codebook_ranks`)."""
    values: NDArray[np.int8]
    """int8 (rows, options of the question): codes of `models.scheme`, in the order of the options' positions."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the annotators say together. All arrays are (texts, options) in the scheme's column order."""

    values: Labels
    """int8: YES, NO or MISSING; a choose_one question is one-hot or all MISSING."""
    ties: NDArray[np.bool_]
    """True where the value is missing because votes are equal; for choose_one at every option of the question."""
    yes: NDArray[np.int16]
    no: NDArray[np.int16]
    uncertain: NDArray[np.int16]
    not_applicable: NDArray[np.int16]
    """Annotators per value, under the codebook version that counts."""


def of_rows(found: Consensus, rows: NDArray[np.intp]) -> Consensus:
    """The consensus of some texts."""
    return Consensus(**{field.name: getattr(found, field.name)[rows] for field in fields(Consensus)})


def codebook_ranks(versions: Iterable[str]) -> dict[str, int]:
    """Rank of each codebook version, oldest 0: by name, with the numbers in it read as numbers (v9 before v10); the empty name is the oldest."""
    return {version: rank for rank, version in enumerate(sorted(set(versions), key=_natural))}


def _natural(version: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    parts = re.findall(r"\d+|\D+", version.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), version


def consensus(scheme: Scheme, annotations: dict[str, Annotations], texts: int) -> Consensus:
    """The consensus of every cell.

    An annotator's newest value that is not blank is theirs: per option in a yes_no_set, per answer in a choose_one. Of the codebook versions under which
    a cell has any value, only the newest counts. Then the majority (choose_one: plurality) of the annotators who voted.

    Args:
        scheme: the corpus's newest scheme.
        annotations: by question key; a question without any may be absent.
        texts: number of texts.
    """
    width = len(scheme.options)
    found = Consensus(
        values=np.full((texts, width), MISSING, dtype=np.int8),
        ties=np.zeros((texts, width), dtype=np.bool_),
        yes=np.zeros((texts, width), dtype=np.int16),
        no=np.zeros((texts, width), dtype=np.int16),
        uncertain=np.zeros((texts, width), dtype=np.int16),
        not_applicable=np.zeros((texts, width), dtype=np.int16),
    )
    for question in scheme.questions:
        given = annotations.get(question.key)
        if given is None or not len(given.texts):
            continue
        columns = positions(question)
        if question.kind is QuestionKind.CHOOSE_ONE:
            _choose_one(given, columns, found)
        else:
            for place, column in enumerate(columns[: given.values.shape[1]]):
                _yes_no(given, place, column, found)
    return found


def positions(question: Question) -> list[int]:
    """Columns of a question's options in rising order: the order of `annotations.values`."""
    return sorted(option.position for option in question.options)


def _yes_no(given: Annotations, place: int, column: int, found: Consensus) -> None:
    """Fill one option's column."""
    values = given.values[:, place]
    rows = in_force(given, values != MISSING)
    texts, values = given.texts[rows], values[rows]
    count = len(found.values)
    for code, counts in (
        (YES, found.yes),
        (NO, found.no),
        (UNCERTAIN, found.uncertain),
        (NOT_APPLICABLE, found.not_applicable),
    ):
        counts[:, column] = np.bincount(texts[values == code], minlength=count)
    yes, no = found.yes[:, column], found.no[:, column]
    found.values[:, column] = np.select([yes > no, no > yes], [YES, NO], MISSING)
    found.ties[:, column] = (yes == no) & (yes > 0)


def _choose_one(given: Annotations, columns: list[int], found: Consensus) -> None:
    """Fill the columns of a choose_one question: one vote per annotator, plurality, one-hot."""
    rows = in_force(given, (given.values != MISSING).any(axis=1))
    texts, values = given.texts[rows], widened(given.values[rows], len(columns))
    chosen = (values == YES).sum(axis=1) == 1
    votes = np.zeros((len(found.values), len(columns)), dtype=np.int16)
    np.add.at(votes, (texts[chosen], np.argmax(values[chosen] == YES, axis=1)), 1)
    doubtful = ~chosen & (values == UNCERTAIN).any(axis=1)
    outside = ~chosen & ~doubtful & (values == NOT_APPLICABLE).any(axis=1)
    voters = votes.sum(axis=1)
    most = votes.max(axis=1, initial=0)
    leaders = (votes == most[:, None]) & (votes > 0)
    decided = leaders.sum(axis=1) == 1
    tied = leaders.sum(axis=1) > 1
    for place, column in enumerate(columns):
        found.yes[:, column] = votes[:, place]
        found.no[:, column] = voters - votes[:, place]
        found.uncertain[:, column] = np.bincount(texts[doubtful], minlength=len(votes))
        found.not_applicable[:, column] = np.bincount(texts[outside], minlength=len(votes))
        found.values[decided, column] = leaders[decided, place]
        found.ties[:, column] = tied


@dataclass(frozen=True, slots=True)
class Counting:
    """The values that count, one row per (text, annotator): of every cell the annotators' newest under its newest codebook version."""

    texts: NDArray[np.int64]
    """int64 (rows,): row of the text."""
    annotators: NDArray[np.int64]
    """int64 (rows,): annotator ids."""
    codebooks: NDArray[np.int64]
    """int64 (rows,): rank of the codebook version that these values were given under."""
    values: NDArray[np.int8]
    """int8 (rows, options) in the scheme's column order; MISSING where the annotator has no value that counts. YES at one option and
    NO at the others is an answer to a choose_one question."""


def counting(scheme: Scheme, annotations: dict[str, Annotations]) -> Counting:
    """The values that `consensus` counts, apart by annotator. A cell's values are all of one codebook version."""
    width = len(scheme.options)
    parts = [part for q in scheme.questions if (given := annotations.get(q.key)) is not None and len(given.texts)
             for part in _counting_parts(q, given)]  # fmt: skip
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Counting(none, none, none, np.zeros((0, width), dtype=np.int8))
    keys = np.concatenate([key for key, _, _ in parts])
    people, persons = np.unique(keys[:, 1], return_inverse=True)
    books = int(keys[:, 2].max()) + 1
    joined = (keys[:, 0] * len(people) + persons) * books + keys[:, 2]
    rows, first, place = np.unique(joined, return_index=True, return_inverse=True)
    values = np.full((len(rows), width), MISSING, dtype=np.int8)
    start = 0
    for key, columns, found in parts:
        values[place[start : start + len(key)][:, None], columns] = found
        start += len(key)
    texts, annotators, codebooks = keys[first].T
    return Counting(texts, annotators, codebooks, values)


def _counting_parts(
    question: Question, given: Annotations
) -> Iterator[tuple[NDArray[np.int64], list[int], NDArray[np.int8]]]:
    """Keys int64 (rows, 3) of text, annotator and codebook, the columns, and their values int8 (rows, columns)."""
    columns = positions(question)
    keys = np.column_stack([given.texts, given.annotators, given.codebooks])
    if question.kind is QuestionKind.CHOOSE_ONE:
        rows = in_force(given, (given.values != MISSING).any(axis=1))
        values = widened(given.values[rows], len(columns))
        chosen = (values == YES).sum(axis=1) == 1
        yield keys[rows[chosen]], columns, (values[chosen] == YES).astype(np.int8)
        return
    for place, column in enumerate(columns[: given.values.shape[1]]):
        rows = in_force(given, given.values[:, place] != MISSING)
        yield keys[rows], [column], given.values[rows, place][:, None]


def widened(values: NDArray[np.int8], columns: int) -> NDArray[np.int8]:
    """`values` with columns of MISSING added at the end: options that came later than the annotations."""
    missing = max(0, columns - values.shape[1])
    return np.pad(values, ((0, 0), (0, missing)), constant_values=MISSING)[:, :columns]


def in_force(given: Annotations, present: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Rows that count for a cell: each annotator's newest present one, under the newest codebook version that has any."""
    rows = np.flatnonzero(present)
    texts, annotators, codebooks = given.texts[rows], given.annotators[rows], given.codebooks[rows]
    order = np.lexsort((rows, annotators, codebooks, texts))
    texts, annotators, codebooks = texts[order], annotators[order], codebooks[order]
    same_text = texts[:-1] == texts[1:]
    last_of_text = np.append(~same_text, True)[: len(texts)]
    superseded = same_text & (codebooks[:-1] == codebooks[1:]) & (annotators[:-1] == annotators[1:])
    newest_of_annotator = np.append(~superseded, True)[: len(texts)]
    newest_codebook = _spread_back(codebooks, last_of_text)
    counting: NDArray[np.intp] = rows[order[newest_of_annotator & (codebooks == newest_codebook)]]
    return counting


def _spread_back(values: NDArray[np.int64], last: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each row the value at the end of its run; `last` marks the ends."""
    ends = np.flatnonzero(last)
    return values[ends[np.searchsorted(ends, np.arange(len(values)))]] if len(ends) else values


def overridden(scheme: Scheme, values: Labels, settled: Sequence[tuple[int, str, str | None, str]]) -> Labels:
    """A copy of `values` with settled reviews put in: (row, question key, option key or None, value).

    yes and no are taken as they are, an option key makes its question one-hot, uncertain and not_applicable make the cell missing.
    """
    result = values.copy()
    column = {option.key: option.position for option in scheme.options}
    questions = {question.key: question for question in scheme.questions}
    for row, question_key, option_key, value in settled:
        if option_key is not None:
            result[row, column[option_key]] = {"yes": YES, "no": NO}.get(value, MISSING)
            continue
        columns = positions(questions[question_key])
        chosen = column.get(value)
        result[row, columns] = MISSING if chosen is None else [int(c == chosen) for c in columns]
    return result


def tied_cells(scheme: Scheme, ties: NDArray[np.bool_]) -> list[tuple[int, str]]:
    """(row, key) of every tied cell by row: the option's key, for choose_one the question's."""
    found: list[tuple[int, str]] = []
    for cell in scheme.cells:
        rows = np.flatnonzero(ties[:, cell.positions[0]])
        found.extend((int(row), cell.option or cell.question) for row in rows)
    return sorted(found)
