"""Pure rules of review, and rows that no spreadsheet executes."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.problems import Invalid
from app.review.evidence import cell_value
from app.review.rules import Decision, check_value, in_force, state_of, still_settled, values_of
from app.sheets import csv_block, json_block, safe
from models.scheme import Option, Question, QuestionKind

SET = Question("arguments", QuestionKind.YES_NO_SET, (Option("remorse", 0), Option("youth", 1)))
ONE = Question(
    "role", QuestionKind.CHOOSE_ONE, (Option("facts", 2), Option("old", 3, retired=True), Option("other", 4))
)


def decision(number: int, value: str | None = "yes", undoes: int | None = None) -> Decision:
    return Decision(
        number, value, "vera", datetime(2026, 1, number, tzinfo=UTC), undoes, "", {}, b"text", "definition"
    )


def test_the_newest_decision_neither_undo_nor_undone_is_in_force() -> None:
    first, second = decision(1, "yes"), decision(2, "no")
    assert in_force([]) is None
    assert in_force([first, second]) == second
    assert in_force([first, second, decision(3, None, undoes=2)]) == first
    assert in_force([first, decision(2, None, undoes=1)]) is None
    assert in_force([first, decision(2, None, undoes=1), decision(3, "no")]) == decision(3, "no")


def test_a_cell_is_settled_while_text_and_definition_are_what_was_decided_on() -> None:
    assert still_settled(decision(1), b"text", "definition")
    assert not still_settled(decision(1), b"other text", "definition")
    assert not still_settled(decision(1), b"text", "other definition")
    assert not still_settled(None, b"text", "definition")


def test_states() -> None:
    assert state_of(True, "wim", "vera") == "settled"
    assert state_of(False, "wim", "vera") == "claimed"
    assert state_of(False, "vera", "vera") == "open"
    assert state_of(False, None, "vera") == "open"


def test_values_fit_their_cell() -> None:
    assert values_of(SET, "remorse") == ("yes", "no", "uncertain", "not_applicable")
    assert values_of(ONE, None) == ("facts", "other", "uncertain", "not_applicable")
    assert check_value(ONE, None, "facts") == "facts"
    for question, option, value in (
        (SET, "remorse", "facts"),
        (ONE, None, "yes"),
        (ONE, None, "remorse"),
        (ONE, None, "old"),
    ):
        with pytest.raises(Invalid) as caught:
            check_value(question, option, value)
        assert caught.value.field == "/value"


@pytest.mark.parametrize(
    ("question", "option", "values", "expected"),
    [
        (SET, "remorse", [1, 0], "yes"),
        (SET, "youth", [1, 0], "no"),
        (SET, "youth", [1], None),
        (SET, "youth", [1, None], None),
        (SET, "youth", [1, 3], "not_applicable"),
        (ONE, None, [0, 0, 1], "other"),
        (ONE, None, [2, 2, 2], "uncertain"),
        (ONE, None, [None, None, None], None),
    ],
)
def test_stored_codes_as_a_cell_s_value(
    question: Question, option: str | None, values: list[int | None], expected: str | None
) -> None:
    assert cell_value(question, option, values) == expected


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(start: str) -> None:
    assert safe(start + "cmd|' /C calc'!A0") == "'" + start + "cmd|' /C calc'!A0"


def test_plain_values_are_left_alone() -> None:
    assert [safe(v) for v in (None, -1.5, 7, True, "plain", "a=b", {"a": None})] == [
        "",
        -1.5,
        7,
        1,
        "plain",
        "a=b",
        '{"a":null}',
    ]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00")), min_size=1, max_size=4),
        max_size=5,
    )
)
def test_csv_reads_back(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_block(rows).decode(), newline="")))
    plain = [
        [
            cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@", "\t", "\r"} else cell
            for cell in row
        ]
        for row in read
    ]
    stripped = [
        [
            cell[1:] if cell[:1] == "'" and cell[1:2] in {"=", "+", "-", "@", "\t", "\r"} else cell
            for cell in row
        ]
        for row in rows
    ]
    assert plain == stripped
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in read for cell in row)


def test_json_lines_lose_nothing() -> None:
    assert json_block([{"a": "=1\n2", "b": None}]) == b'{"a":"=1\\n2","b":null}\n'
