"""The labels that a column's values hold: lists, separated strings, single labels. Pure."""

from __future__ import annotations

import json
from collections import Counter

from app.corpora.mapping import QuestionMapping
from models.scheme import QuestionKind
from workers.importing.profile import ColumnProfile

_SEPARATORS = (";", "|")


def labels_in(question: QuestionMapping, column: ColumnProfile) -> Counter[str]:
    """The labels that a column's values hold, codes among them, with counts."""
    if column.objects or column.lists:
        return column.items
    if shape_of(question) != "list":
        return column.values
    found: Counter[str] = Counter()
    for value, count in column.values.items():
        for label in split_labels(value, separator_of(question, column)):
            found[label] += count
    return found


def split_labels(value: str, separator: str) -> list[str]:
    """The labels of a list cell: a JSON list, or separated; each once."""
    if value.startswith("["):
        try:
            found = json.loads(value)
        except ValueError:
            found = None
        if isinstance(found, list):
            return list(dict.fromkeys(str(item).strip() for item in found if str(item).strip()))
    return list(dict.fromkeys(part.strip() for part in value.split(separator) if part.strip()))


def shape_of(question: QuestionMapping) -> str:
    """The shape of a question's column."""
    if question.columns is not None:
        return "wide"
    return question.shape or ("value" if question.kind is QuestionKind.CHOOSE_ONE else "list")


def separator_of(question: QuestionMapping, column: ColumnProfile) -> str:
    """What separates the labels of a list column: as given, else the commoner of ; and |."""
    if question.separator is not None:
        return question.separator
    return max(_SEPARATORS, key=lambda mark: sum(mark in value for value in column.values))
