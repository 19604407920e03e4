"""A labelled file read into memory: texts and annotations as arrays, by the plan of an import but without a database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.corpora.rules import Annotations, codebook_ranks
from models.scheme import MISSING, NO, Scheme
from workers.importing.plan import Plan, QuestionPlan
from workers.importing.reading import Answer, LongCell, TextRow, make_reader
from workers.importing.source import Rejected, Row

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A file's texts in order, and its annotations by question, as consensus takes them."""

    scheme: Scheme
    keys: list[str]
    contents: list[str]
    groups: list[str]
    splits: list[str | None]
    annotations: dict[str, Annotations]
    rejected: list[dict[str, Any]]
    """Reasons with column, count and the first line: {"column", "reason", "rows", "first_line"}."""


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    plan: Plan
    fold_group: str | None
    rows: dict[str, int] = field(default_factory=dict)
    texts: list[TextRow] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    answers: dict[tuple[Any, ...], list[int | None]] = field(default_factory=dict)
    """By (question, text row, annotator, codebook, time): values in option order; the first row of an occasion counts."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_lines: dict[tuple[str, str], int] = field(default_factory=dict)

    def refuse(self, line: int, column: str, reason: str) -> None:
        self.refused[column, reason] += 1
        self.first_lines.setdefault((column, reason), line)

    def take(self, text: TextRow, answers: list[Answer | LongCell]) -> None:
        key = text.external_id or f"text-{text.sha256.hex()[:20]}"
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = len(self.texts)
            self.texts.append(text)
            self.keys.append(key)
            self.groups.append(self._group(text, key))
        elif self.texts[row].content != text.content:
            self.refuse(
                text.line,
                self.plan.columns[self.plan.text],
                "The same id stands on an earlier line with another text.",
            )
            return
        for answer in answers:
            self._answer(row, answer)

    def _group(self, text: TextRow, key: str) -> str:
        group = json.loads(text.groups).get(self.fold_group) if self.fold_group else None
        return str(group) if group is not None else f"text:{key}"

    def _answer(self, row: int, answer: Answer | LongCell) -> None:
        occasion = (answer.question, row, answer.annotator, answer.codebook, answer.at or _LONG_AGO)
        if isinstance(answer, Answer):
            self.answers.setdefault(occasion, list(answer.values))
            return
        values = self.answers.setdefault(occasion, _unlisted(self.plan.questions[answer.question]))
        if answer.place is not None:
            values[answer.place] = answer.value


def gather(
    rows: Iterator[Row | Rejected], plan: Plan, fold_group: str | None, max_characters: int
) -> Gathered:
    """Read every row; what cannot be read is counted by column and reason."""
    read = make_reader(plan, max_characters)
    reading = _Reading(plan, fold_group)
    for row in rows:
        found = row if isinstance(row, Rejected) else read(row)
        if isinstance(found, Rejected):
            reading.refuse(found.line, found.column, found.reason)
        else:
            reading.take(*found)
    return Gathered(
        scheme=plan.scheme,
        keys=reading.keys,
        contents=[text.content for text in reading.texts],
        groups=reading.groups,
        splits=[text.split for text in reading.texts],
        annotations=_annotations(reading),
        rejected=[
            {
                "column": column,
                "reason": reason,
                "rows": count,
                "first_line": reading.first_lines[column, reason],
            }
            for (column, reason), count in reading.refused.most_common()
        ],
    )


def _unlisted(question: QuestionPlan) -> list[int | None]:
    """What an annotator of a long file says of labels that no row gives."""
    return [NO if question.unlisted_no and known else None for known in question.covered]


def _annotations(reading: _Reading) -> dict[str, Annotations]:
    """Arrays by question key, oldest occasion first."""
    ordered = sorted(reading.answers.items(), key=lambda item: item[0][4])
    ranks = codebook_ranks(occasion[3] for occasion, _values in ordered)
    people: dict[str, int] = {}
    found: dict[str, Annotations] = {}
    for place, question in enumerate(reading.plan.questions):
        mine = [(occasion, values) for occasion, values in ordered if occasion[0] == place]
        coded = [[MISSING if value is None else value for value in values] for _occasion, values in mine]
        found[question.key] = Annotations(
            texts=np.array([occasion[1] for occasion, _values in mine], dtype=np.int64),
            annotators=np.array(
                [people.setdefault(occasion[2], len(people)) for occasion, _values in mine], dtype=np.int64
            ),
            codebooks=np.array([ranks[occasion[3]] for occasion, _values in mine], dtype=np.int64),
            values=np.array(coded, dtype=np.int8).reshape(len(mine), len(question.options)),
        )
    return found
