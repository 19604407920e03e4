"""A row read by the plan: the text with its keys, and the answers in it. Pure; what cannot be read is rejected with column and reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from models.data.near_duplicates import normalised
from models.scheme import MISSING, NO, YES, QuestionKind
from workers.importing.labels import split_labels
from workers.importing.plan import Plan, QuestionPlan
from workers.importing.profile import words
from workers.importing.source import Rejected, Row

_LONGEST_ID = 500
_LONGEST_NAME = 300
_REST_OF_DATE = {4: "-01-01", 7: "-01"}
"""What makes a year or a month a date, by its length."""


class TextRow(NamedTuple):
    """A text as a row gives it. `groups` and `metadata` are JSON; `sha256` is of the normalised content."""

    line: int
    external_id: str | None
    content: str
    sha256: bytes
    split: str | None
    groups: str
    metadata: str


class Answer(NamedTuple):
    """One annotator's values for one question, in the order of its options; None is missing."""

    line: int
    question: int
    annotator: str
    team: str | None
    codebook: str
    at: datetime | None
    values: tuple[int | None, ...]


class LongCell(NamedTuple):
    """One row of a long file: a label that an annotator gave, or (place None) that the annotator saw the text and gave none."""

    line: int
    question: int
    annotator: str
    team: str | None
    codebook: str
    at: datetime | None
    place: int | None
    value: int | None


class Unreadable(Exception):
    """Why a row is rejected: column and reason."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason


def make_reader(
    plan: Plan, max_characters: int
) -> Callable[[Row], tuple[TextRow, list[Answer | LongCell]] | Rejected]:
    """A function that reads one row."""
    readers = [_answers_reader(place, question, plan) for place, question in enumerate(plan.questions)]

    def read(row: Row) -> tuple[TextRow, list[Answer | LongCell]] | Rejected:
        try:
            text = _text(row, plan, max_characters)
            who = _occasion(row, plan)
            return text, [answer for reader in readers for answer in reader(row, who)]
        except Unreadable as found:
            return Rejected(row.line, found.column, found.reason)

    return read


class _Occasion(NamedTuple):
    annotator: str
    team: str | None
    codebook: str
    at: datetime | None


def _text(row: Row, plan: Plan, max_characters: int) -> TextRow:
    for name, value in zip(plan.columns, row.values, strict=True):
        if isinstance(value, str) and "\x00" in value:
            raise Unreadable(name, "The value holds a NUL byte: remove it.")
    column, content = plan.columns[plan.text], row.values[plan.text]
    if not isinstance(content, str):
        raise Unreadable(column, "There is no text." if content is None else "The text is not a string.")
    if not content.strip():
        raise Unreadable(column, "The text is blank.")
    if len(content) > max_characters:
        raise Unreadable(
            column,
            f"The text has {len(content):,} characters; at most {max_characters:,} are allowed (REMAND_MAX_TEXT_CHARACTERS).",
        )
    external = None
    if plan.id >= 0:
        external = _plain(row, plan, plan.id, _LONGEST_ID)
        if not external:
            raise Unreadable(plan.columns[plan.id], "The id is blank.")
    return TextRow(
        row.line,
        external,
        content,
        sha256(normalised(content).encode()).digest(),
        _plain(row, plan, plan.split, _LONGEST_NAME) or None,
        _object(row, plan.groups, as_strings=True),
        _object(row, plan.metadata, as_strings=False),
    )


def _plain(row: Row, plan: Plan, column: int, longest: int) -> str:
    if column < 0:
        return ""
    value = row.values[column]
    if isinstance(value, list | dict):
        raise Unreadable(plan.columns[column], "The value is a list or an object, not a name.")
    found = words(value)
    if len(found) > longest:
        raise Unreadable(
            plan.columns[column],
            f"The value has {len(found):,} characters; at most {longest} are allowed here.",
        )
    return found


def _object(row: Row, columns: Sequence[tuple[str, int]], *, as_strings: bool) -> str:
    """JSON of the filled values; group keys always as strings, so that 7 and "7" are one group."""
    found: dict[str, Any] = {}
    for name, column in columns:
        value = row.values[column]
        if isinstance(value, list | dict):
            found[name] = json.dumps(value, ensure_ascii=False) if as_strings else value
        elif text := words(value):
            found[name] = text if as_strings or isinstance(value, str) else value
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


def _occasion(row: Row, plan: Plan) -> _Occasion:
    annotator = _plain(row, plan, plan.annotator, _LONGEST_NAME)
    return _Occasion(
        annotator or plan.annotator_name,
        _plain(row, plan, plan.team, _LONGEST_NAME) or None,
        _plain(row, plan, plan.codebook_version, _LONGEST_NAME),
        _moment(row, plan),
    )


def _moment(row: Row, plan: Plan) -> datetime | None:
    found = _plain(row, plan, plan.annotated_at, 60)
    if not found:
        return None
    try:
        moment = datetime.fromisoformat(found + _REST_OF_DATE.get(len(found), ""))
    except ValueError:
        raise Unreadable(
            plan.columns[plan.annotated_at],
            "The date is not ISO 8601: write 2020-03-31 or 2020-03-31T14:00:00Z.",
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _answers_reader(
    place: int, question: QuestionPlan, plan: Plan
) -> Callable[[Row, _Occasion], Iterator[Answer | LongCell]]:
    if question.shape == "wide":
        return _wide_reader(place, question, plan)
    column = "" if question.column < 0 else plan.columns[question.column]
    places = {key: number for number, key in enumerate(question.options)}

    def read(row: Row, who: _Occasion) -> Iterator[Answer | LongCell]:
        value = row.values[question.column]
        if question.shape == "annotators":
            for annotator, labels in _annotators(value, column):
                values = _labels_values(labels, question, places, column)
                if values is not None:
                    yield Answer(row.line, place, annotator, who.team, who.codebook, who.at, values)
        elif question.shape == "long":
            yield _long_cell(row, place, question, places, who, column)
        else:
            given = _labels(value, question)
            values = None if given is None else _labels_values(given, question, places, column)
            if values is not None:
                yield Answer(row.line, place, *who, values)

    return read


def _wide_reader(
    place: int, question: QuestionPlan, plan: Plan
) -> Callable[[Row, _Occasion], Iterator[Answer]]:
    size, one = len(question.options), question.kind is QuestionKind.CHOOSE_ONE

    def read(row: Row, who: _Occasion) -> Iterator[Answer]:
        values: list[int | None] = [None] * size
        for wide in question.wide:
            value = row.values[wide.column]
            code = wide.table[value.strip() if isinstance(value, str) else words(value)]
            if code != MISSING:
                values[wide.place] = code
        chosen = values.count(YES)
        if one and chosen > 1:
            raise Unreadable(
                plan.columns[question.wide[0].column],
                f"The question {question.key!r} has one answer, but {chosen} options are yes.",
            )
        if one and chosen == 1:
            values = [YES if value == YES else NO for value in values]
        if any(value is not None for value in values) and (not one or chosen or set(values) - {None, NO}):
            yield Answer(row.line, place, *who, tuple(values))

    return read


def _annotators(value: Any, column: str) -> Iterator[tuple[str, list[str]]]:
    if value is None:
        return
    if not isinstance(value, dict):
        raise Unreadable(column, "The value is not an object of annotators and their labels.")
    for annotator, labels in value.items():
        name = annotator.strip()
        if not name or len(name) > _LONGEST_NAME:
            raise Unreadable(
                column, f"An annotator's name is blank or longer than {_LONGEST_NAME} characters."
            )
        if labels is not None:
            yield name, [words(label) for label in labels] if isinstance(labels, list) else [words(labels)]


def _labels(value: Any, question: QuestionPlan) -> list[str] | None:
    """The labels of a cell; None when it is blank. An empty JSON list is an answer: seen, and no label."""
    if isinstance(value, list):
        return [words(label) for label in value]
    text = words(value)
    if not text:
        return None
    return [text] if question.shape == "value" else split_labels(text, question.separator)


def _labels_values(
    labels: Sequence[str], question: QuestionPlan, places: dict[str, int], column: str
) -> tuple[int | None, ...] | None:
    """Stored values for the labels given; None when they say that the answer is missing."""
    coded = {(question.codes or {}).get(label) for label in labels} - {None}
    if coded:
        if len(labels) > 1:
            raise Unreadable(column, "A code for missing or uncertain stands beside other labels.")
        code = coded.pop()
        return None if code == MISSING else tuple(code if known else None for known in question.covered)
    unlisted = NO if question.unlisted_no or question.kind is QuestionKind.CHOOSE_ONE else None
    values: list[int | None] = [unlisted if known else None for known in question.covered]
    if question.kind is QuestionKind.CHOOSE_ONE and not labels:
        return None
    if question.kind is QuestionKind.CHOOSE_ONE and len(set(labels)) != 1:
        raise Unreadable(
            column, f"The question {question.key!r} takes exactly one label, the row has {len(set(labels))}."
        )
    for label in labels:
        if label not in places:
            raise Unreadable(
                column, f"The label {label[:100]!r} is no option of the question {question.key!r}."
            )
        values[places[label]] = YES
    return tuple(values)


def _long_cell(
    row: Row, place: int, question: QuestionPlan, places: dict[str, int], who: _Occasion, column: str
) -> LongCell:
    label = words(row.values[question.column])
    if not label or (question.codes or {}).get(label) == MISSING:
        return LongCell(row.line, place, *who, None, None)
    if label not in places:
        raise Unreadable(column, f"The label {label[:100]!r} is no option of the question {question.key!r}.")
    value = YES
    if question.value_column >= 0:
        value = (question.values or {})[words(row.values[question.value_column])]
    return LongCell(row.line, place, *who, places[label], None if value == MISSING else value)
