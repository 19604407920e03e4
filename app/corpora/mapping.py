"""The column mapping of an import: which column is what. Everything left out is guessed; null says "there is none"."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from app.corpora.schemas import DependencyDocument, Key, OptionDocument, Words
from app.http.problems import Invalid
from app.http.schemas import RequestModel
from models.scheme import QuestionKind

Column = Annotated[str, StringConstraints(min_length=1, max_length=500)]
EVERY_COLUMN = "*"
"""In `codes`: for all label columns."""
DEFAULT_ANNOTATOR = "unnamed annotator"
"""Whose labels they are in a file without an annotator column."""


class Meaning(StrEnum):
    """What a code in a label column means."""

    YES = "yes"
    NO = "no"
    MISSING = "missing"
    UNCERTAIN = "uncertain"
    NOT_APPLICABLE = "not_applicable"


class OptionColumn(RequestModel):
    """A column that answers one option of a question."""

    column: Column
    key: Key | None = Field(None, description="The option's key; default: the column's name.")
    name: Annotated[str, StringConstraints(max_length=500)] = ""
    definition: Words = ""

    @property
    def option_key(self) -> str:
        """The key, or the column's name."""
        return self.key or self.column


class QuestionMapping(RequestModel):
    """Where the answers to one question stand."""

    key: Key
    kind: QuestionKind = QuestionKind.YES_NO_SET
    name: Annotated[str, StringConstraints(max_length=500)] = ""
    definition: Words = ""
    columns: list[Column | OptionColumn] | None = Field(
        None,
        max_length=1000,
        description="Wide files: one column per option, with 0/1, yes/no or true/false.",
    )
    column: Column | None = Field(None, description="Other files: the column that holds the labels.")
    shape: Literal["value", "list", "annotators", "long"] | None = Field(
        None,
        description="What `column` holds. value: one option's key; list: several, as a JSON list or separated; annotators: an object of "
        "annotator and list (JSONL); long: one label, with a row for each. Default: value for choose_one, list for yes_no_set.",
    )
    separator: Annotated[str, StringConstraints(min_length=1, max_length=5)] | None = Field(
        None, description="Of a list column; default ; or |."
    )
    value_column: Column | None = Field(
        None, description="Of long files: the column with the label's yes or no."
    )
    unlisted: Literal["no", "missing"] | None = Field(
        None,
        description="What a label that is not listed means; default no, and missing for long files with a value column.",
    )
    options: list[OptionDocument] | None = Field(
        None,
        max_length=1000,
        description="Options in order, with definitions; others in the file are then an error.",
    )

    def wide(self) -> list[OptionColumn]:
        """The option columns of a wide question."""
        return [
            item if isinstance(item, OptionColumn) else OptionColumn(column=item)
            for item in self.columns or ()
        ]


class Mapping(RequestModel):
    """Which column is what."""

    format: Literal["csv", "jsonl", "xlsx"] | None = None
    encoding: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = Field(
        None, description="Default UTF-8; Excel often writes cp1252.", examples=["cp1252"]
    )
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] | None = Field(
        None, description="Of CSV files; default: guessed."
    )
    id: Column | None = Field(None, description="The text's own id; null: made from its content.")
    text: Column | None = None
    groups: list[Column] | None = Field(
        None, max_length=50, description="Grouping keys: case, defendant, judge …"
    )
    fold_group: Column | None = Field(None, description="The grouping key that folds are split by.")
    split: Column | None = None
    annotator: Column | None = None
    annotator_name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description=f"Whose labels they are where no column says it; default: {DEFAULT_ANNOTATOR}."
    )
    team: Column | None = None
    annotated_at: Column | None = Field(None, description="ISO 8601; without a zone: UTC.")
    codebook_version: Column | None = None
    metadata: list[Column] | None = Field(
        None, max_length=1000, description="Default: every column that is nothing else."
    )
    ignore: list[Column] | None = Field(None, max_length=1000)
    questions: list[QuestionMapping] | None = Field(None, max_length=200)
    dependencies: list[DependencyDocument] | None = Field(None, max_length=1000)
    codes: dict[str, dict[str, Meaning]] | None = Field(
        None,
        description="What codes mean, by column; the column * speaks for all.",
        examples=[{"*": {"99": "missing"}}],
    )

    def given(self, field: str) -> bool:
        """Whether the field was set, be it to null."""
        return field in self.model_fields_set

    def document(self) -> dict[str, Any]:
        """JSON form that keeps the difference between null and left out."""
        return self.model_dump(mode="json", exclude_unset=True)


def check_mapping(mapping: Mapping) -> None:
    """Raise Invalid for a mapping that contradicts itself: a column used twice, an option in two questions, an unclear question."""
    seen: dict[str, str] = {}
    for column, place in _uses(mapping):
        if column in seen:
            raise Invalid(
                f"The column {column!r} is used twice, by {seen[column]} and {place}: each column can be one thing.",
                field=f"/mapping{place}",
                slug="column-twice",
                column=column,
            )
        seen[column] = place
    options: dict[str, str] = {}
    keys: set[str] = set()
    for number, question in enumerate(mapping.questions or ()):
        place = f"/questions/{number}"
        if question.key in keys:
            raise Invalid(
                f"The question {question.key!r} is given twice.",
                field=f"/mapping{place}/key",
                slug="question-twice",
            )
        keys.add(question.key)
        _check_question(question, place, options)
    if mapping.fold_group and mapping.groups is not None and mapping.fold_group not in mapping.groups:
        raise Invalid(
            f"The fold group {mapping.fold_group!r} is not among the groups.", field="/mapping/fold_group"
        )
    if mapping.encoding is not None:
        _check_encoding(mapping.encoding)


def _uses(mapping: Mapping) -> Iterator[tuple[str, str]]:
    for field in ("id", "text", "split", "annotator", "team", "annotated_at", "codebook_version"):
        if (column := getattr(mapping, field)) is not None:
            yield column, f"/{field}"
    for field in ("groups", "metadata", "ignore"):
        for number, column in enumerate(getattr(mapping, field) or ()):
            yield column, f"/{field}/{number}"
    for number, question in enumerate(mapping.questions or ()):
        for place, wide in enumerate(question.wide()):
            yield wide.column, f"/questions/{number}/columns/{place}"
        for field in ("column", "value_column"):
            if (column := getattr(question, field)) is not None:
                yield column, f"/questions/{number}/{field}"


def _check_question(question: QuestionMapping, place: str, options: dict[str, str]) -> None:
    if (question.columns is None) == (question.column is None):
        raise Invalid(
            f"Say where the answers to {question.key!r} stand: either `columns` (one per option) or `column`.",
            field=f"/mapping{place}",
            slug="question-unclear",
        )
    choose = question.kind is QuestionKind.CHOOSE_ONE
    if choose and question.shape in {"list", "long"}:
        raise Invalid(
            f"The question {question.key!r} is choose_one and cannot have a list of labels.",
            field=f"/mapping{place}/shape",
        )
    if not choose and question.shape == "value":
        raise Invalid(
            f"The question {question.key!r} is a yes_no_set: its column is a list, annotators or long.",
            field=f"/mapping{place}/shape",
        )
    if question.value_column is not None and question.shape != "long":
        raise Invalid("A value column belongs to the shape long.", field=f"/mapping{place}/value_column")
    named = [wide.option_key for wide in question.wide()] or [option.key for option in question.options or ()]
    for key in named:
        if key in options:
            raise Invalid(
                f"The option {key!r} is in two questions, {options[key]!r} and {question.key!r}."
                if options[key] != question.key
                else f"The option {key!r} is given twice in the question {question.key!r}.",
                field=f"/mapping{place}",
                slug="option-twice",
            )
        options[key] = question.key


def _check_encoding(name: str) -> None:
    try:
        "a".encode(codecs.lookup(name).name)
    except (LookupError, TypeError, ValueError):
        raise Invalid(
            f"There is no text encoding {name!r}: try cp1252, latin-1 or utf-16.", field="/mapping/encoding"
        ) from None
