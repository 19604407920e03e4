"""Who may read a corpus, how it is cut into chunks, and which part of a scheme an adapter speaks of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.problems import Conflict, Invalid
from app.relabelling.rules import (
    CHUNK_CHARACTERS,
    CHUNK_TEXTS,
    check_adapter,
    chunk_ends,
    common_scheme,
    value_of,
)
from models.scheme import Cell, Dependency, Option, Question, QuestionKind, Scheme


@given(st.lists(st.integers(0, 200_000), max_size=600), st.integers(0, 50))
def test_chunks_cover_what_is_left_once_and_keep_their_limits(lengths, start):
    start = min(start, len(lengths))
    ends = list(chunk_ends(lengths, start))
    starts = [start, *ends[:-1]]
    assert ends == sorted(set(ends))
    assert (ends[-1] if ends else start) == len(lengths)
    for low, high in zip(starts[: len(ends)], ends, strict=True):
        assert 0 < high - low <= CHUNK_TEXTS
        assert high - low == 1 or sum(lengths[low:high]) <= CHUNK_CHARACTERS


def test_chunks_are_the_same_when_taken_up_at_one_of_their_ends():
    lengths = [number % 1000 * 7 for number in range(3000)]
    ends = list(chunk_ends(lengths))
    assert list(chunk_ends(lengths, ends[2])) == ends[3:]


@pytest.mark.parametrize(
    ("task", "owner", "options", "problem", "slug"),
    [
        ("causal", "cor_1", ["a"], Conflict, "wrong-task"),
        ("classify", "cor_2", ["a"], Invalid, "foreign-adapter"),
        ("classify", "cor_1", ["x"], Invalid, "no-common-option"),
    ],
)
def test_an_adapter_that_cannot_read_the_corpus(task, owner, options, problem, slug):
    with pytest.raises(problem) as raised:
        check_adapter(task, owner, "cor_1", options, ["a", "b"])
    assert raised.value.slug == slug


@pytest.mark.parametrize("owner", ["cor_1", None])
def test_an_adapter_of_the_corpus_or_of_none_may_read_it(owner):
    check_adapter("classify", owner, "cor_1", ["b", "c"], ["a", "b"])


MANY = Question("many", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 3), Option("c", 4)))
ONE = Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 1), Option("y", 2)))
SCHEME = Scheme((MANY, ONE), (Dependency("a", ("b", "x")), Dependency("b", ("x",))))


def test_the_whole_scheme_stays_as_it_is():
    assert common_scheme(SCHEME, ["y", "x", "c", "b", "a"]) == SCHEME


def test_columns_are_counted_anew_and_dependencies_follow():
    found = common_scheme(SCHEME, ["a", "c", "x", "y"])
    assert [(option.key, option.position) for option in found.options] == [
        ("a", 0),
        ("x", 1),
        ("y", 2),
        ("c", 3),
    ]
    assert found.dependencies == (Dependency("a", ("x",)),)


def test_a_choose_one_question_with_an_option_missing_is_left_out():
    found = common_scheme(SCHEME, ["a", "b", "x"])
    assert found.option_keys == ("a", "b")
    assert found.dependencies == (Dependency("a", ("b",)),)


def test_values_in_words():
    assert [value_of(Cell("many", "b", (3,)), (), said) for said in (0, 1)] == ["no", "yes"]
    assert value_of(Cell("one", None, (1, 2)), ("a", "x", "y"), 2) == "y"
