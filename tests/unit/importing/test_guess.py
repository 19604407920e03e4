"""Guessing columns by name and value."""

from __future__ import annotations

from typing import Any

from app.corpora.mapping import Mapping
from app.corpora.scheme_rules import EMPTY
from models.scheme import Option, Question, QuestionKind, Scheme
from workers.importing.guess import guess
from workers.importing.profile import profile
from workers.importing.source import Row, Source

TEXT = "I am sorry for what I did that night."


def guessed(
    rows: list[dict[str, Any]],
    mapping: dict[str, Any] | None = None,
    scheme: Scheme = EMPTY,
    repeats: bool = False,
) -> Mapping:
    """The whole mapping for these rows."""
    columns = tuple(rows[0])
    source = Source(
        "csv", columns, lambda: iter([Row(n, [row[c] for c in columns]) for n, row in enumerate(rows, 2)])
    )
    found = profile(source, lambda _: None)
    return guess(Mapping.model_validate(mapping or {}), found, scheme, lambda _: repeats)[0]


def test_what_a_text_belongs_to_is_no_label() -> None:
    """A column named for cases or judges holds keys, also where its values look like yes, no and codes."""
    rows = [
        {"text": TEXT + str(n), "case": str(n % 2), "judge": "9", "doc_id": str(n % 2), "opinion": str(n % 2), "remorse": str(n % 2)}
        for n in range(4)
    ]  # fmt: skip
    mapping = guessed(rows)
    assert mapping.groups == ["case", "judge", "doc_id"]
    assert [question.columns for question in mapping.questions or ()] == [["opinion", "remorse"]]
    case = Option("case", 0, "case")
    known = Scheme((Question("labels", QuestionKind.YES_NO_SET, (case,), "labels", ""),), ())
    assert "case" not in (guessed(rows, scheme=known).groups or ())


def test_names_in_any_spelling() -> None:
    """Case, spaces and hyphens in names do not matter."""
    row = {
        "Text-ID": "1",
        "TEXT": TEXT,
        "Case No": "c",
        "Coder": "kim",
        "Coded at": "2020",
        "Given Split": "train",
        "Codebook Version": "2",
    }
    found = guessed([row])
    assert (found.id, found.text, found.groups) == ("Text-ID", "TEXT", ["Case No"])
    assert (found.annotator, found.annotated_at, found.split, found.codebook_version) == (
        "Coder",
        "Coded at",
        "Given Split",
        "Codebook Version",
    )


def test_text_by_length_when_no_name_tells() -> None:
    """The longest column, if it is longer than labels are."""
    assert guessed([{"a": "x", "b": TEXT}]).text == "b"
    assert guessed([{"a": "x", "b": "y"}]).text is None


def test_yes_no_columns_and_what_only_looks_like_them() -> None:
    """Years and counts are metadata, codes beside 0 and 1 do not hide a label."""
    rows = [
        {"text": TEXT, "remorse": "1", "youth": "no", "year": "2019", "pages": "1", "health": "0"},
        {"text": TEXT, "remorse": "0", "youth": "", "year": "2020", "pages": "2", "health": "99"},
        {"text": TEXT, "remorse": "", "youth": "yes", "year": "2020", "pages": "3", "health": "1"},
    ]
    found = guessed(rows)
    assert found.questions is not None
    assert [question.columns for question in found.questions] == [["remorse", "youth", "health"]]
    assert found.metadata == ["year", "pages"]


def test_the_mark_of_synthetic_texts_is_no_label() -> None:
    """The project's own synthetic files are read without a mapping."""
    rows = [
        {"text": TEXT, "synthetic": "true", "remorse": "1"},
        {"text": TEXT, "synthetic": "true", "remorse": "0"},
    ]
    found = guessed(rows)
    assert found.questions is not None
    assert [question.columns for question in found.questions] == [["remorse"]]
    assert found.metadata == ["synthetic"]


def test_null_says_there_is_none() -> None:
    """A field set to null is not guessed, and its column falls to the metadata."""
    row = {"id": "1", "text": TEXT, "coder": "kim", "case": "c"}
    found = guessed([row], {"annotator": None, "groups": []})
    assert (found.annotator, found.groups, found.fold_group) == (None, [], None)
    assert found.metadata == ["coder", "case"]


def test_prefixes_that_are_questions() -> None:
    """actor_ is one; proportionality_ is only a word that three options share; one prefix for all is none."""
    names = [
        "application",
        "proportionality_basis",
        "proportionality_purpose",
        "proportionality_balance",
        "actor_court",
        "actor_state",
    ]
    found = guessed([{"text": TEXT, **dict.fromkeys(names, "1")}])
    assert {question.key: question.columns for question in found.questions or ()} == {
        "labels": names[:4],
        "actor": names[4:],
    }
    found = guessed([{"text": TEXT, "actor_court": "1", "actor_state": "0"}])
    assert [question.key for question in found.questions or ()] == ["labels"]


def test_the_scheme_knows_better() -> None:
    """Columns that are options of a question go there, whatever their prefix and kind."""
    outcome = Question("outcome", QuestionKind.CHOOSE_ONE, (Option("granted", 0), Option("denied", 1)))
    arguments = Question("arguments", QuestionKind.YES_NO_SET, (Option("remorse", 2),))
    row = {"text": TEXT, "granted": "1", "denied": "0", "remorse": "1", "youth": "0"}
    found = guessed([row], scheme=Scheme((outcome, arguments)))
    assert {q.key: (q.kind, q.columns) for q in found.questions or ()} == {
        "outcome": (QuestionKind.CHOOSE_ONE, ["granted", "denied"]),
        "arguments": (QuestionKind.YES_NO_SET, ["remorse", "youth"]),
    }


def test_label_columns() -> None:
    """Lists, objects by annotator, separated lists, long rows, single labels."""

    def shape(value: Any, name: str = "labels", repeats: bool = False) -> str | None:
        questions = guessed([{"id": "1", "text": TEXT, name: value}], repeats=repeats).questions or []
        return questions[0].shape if questions else None

    assert shape(["a"]) == "list"
    assert shape({"kim": ["a"]}) == "annotators"
    assert shape("a; b") == "list"
    assert shape("a", "label", repeats=True) == "long"
    assert shape("a", "role") == "value"
    assert shape("a", "summary") is None


def test_folds_are_split_by_people_not_by_judges() -> None:
    """A judge has too many cases to be held out, if there is another key."""
    assert guessed([{"text": TEXT, "judge": "j", "defendant": "d"}]).fold_group == "defendant"
    assert guessed([{"text": TEXT, "judge": "j"}]).fold_group == "judge"
