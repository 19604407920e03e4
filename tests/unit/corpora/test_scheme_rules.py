"""Schemes only grow: positions stay whatever is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.corpora.scheme_rules import EMPTY, changed, extended, scheme_digest
from app.http.problems import Invalid
from models.scheme import Dependency, Option, Question, QuestionKind, Scheme


def question(key: str, *options: str, kind: QuestionKind = QuestionKind.YES_NO_SET) -> Question:
    """A question with options as a caller gives them, without positions."""
    return Question(key, kind, tuple(Option(option, 0) for option in options))


def test_new_options_come_last() -> None:
    """Whatever their order in the request."""
    first = changed(EMPTY, Scheme((question("q", "b", "a"),)), 10)
    second = changed(first, Scheme((question("q", "c", "a", "b"), question("r", "d"))), 10)
    assert first.option_keys == ("b", "a")
    assert second.option_keys == ("b", "a", "c", "d")


def test_left_out_is_retired_and_can_come_back() -> None:
    """The position waits for it."""
    first = changed(EMPTY, Scheme((question("q", "a", "b"), question("r", "c"))), 10)
    second = changed(first, Scheme((question("q", "b"),)), 10)
    assert [(option.key, option.retired) for option in second.options] == [
        ("a", True),
        ("b", False),
        ("c", True),
    ]
    third = changed(second, Scheme((question("q", "a", "b"),)), 10)
    assert [(option.key, option.retired) for option in third.options] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]


def test_extending_changes_nothing_that_is_there() -> None:
    """Definitions, dependencies and retired options stay as people made them."""
    options = (Option("a", 0, "A", "Says sorry."), Option("b", 1, retired=True))
    current = Scheme((Question("q", QuestionKind.YES_NO_SET, options),), (Dependency("a", ("b",)),))
    same = extended(current, [question("q", "a", "b")], 10)
    assert scheme_digest(same) == scheme_digest(current)
    more = extended(current, [question("q", "z"), question("r", "y")], 10)
    assert more.option_keys == ("a", "b", "z", "y")
    assert more.options[:2] == options


@pytest.mark.parametrize(
    ("wanted", "slug"),
    [
        (Scheme((question("q", "a", kind=QuestionKind.CHOOSE_ONE),)), "kind-changed"),
        (Scheme((question("r", "a"),)), "option-moved"),
        (Scheme((question("q", "a", "a"),)), "option-twice"),
        (Scheme((question("q", "a"), question("r", "a"))), "option-twice"),
        (Scheme((question("q", *map(str, range(11))),)), "too-many-options"),
        (Scheme((question("q", "a"),), (Dependency("a", ("nothing",)),)), "invalid"),
        (Scheme((question("q", "a"),), (Dependency("a", ("a",)),)), "invalid"),
        (Scheme((question("q", "a"), question("q", "b"))), "invalid"),
    ],
)
def test_what_would_break_earlier_labels(wanted: Scheme, slug: str) -> None:
    """Refused with its own type."""
    current = changed(EMPTY, Scheme((question("q", "a"),)), 10)
    with pytest.raises(Invalid) as refused:
        changed(current, wanted, 10)
    assert refused.value.slug == slug


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=6))
def test_positions_never_change(wishes: list[list[str]]) -> None:
    """Over any sequence of changes each option keeps the position it was first given, and positions have no gaps."""
    scheme, known = EMPTY, {}
    for wish in wishes:
        scheme = changed(scheme, Scheme((question("q", *wish),)), 10)
        for option in scheme.options:
            assert known.setdefault(option.key, option.position) == option.position
        assert [option.position for option in scheme.options] == list(range(len(scheme.options)))
        assert {option.key for option in scheme.options if not option.retired} == set(wish)
