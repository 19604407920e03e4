"""Consensus: newest values, one codebook version at a time, majority, ties missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.corpora.rules import Annotations, codebook_ranks, consensus, overridden, tied_cells
from models.scheme import MISSING, Option, Question, QuestionKind, Scheme

ARGUMENTS = Question("arguments", QuestionKind.YES_NO_SET, (Option("remorse", 0), Option("youth", 2)))
ROLE = Question(
    "role", QuestionKind.CHOOSE_ONE, (Option("facts", 1), Option("ruling", 3), Option("other", 4))
)
SCHEME = Scheme((ARGUMENTS, ROLE))


def rows(*given: tuple[int, int, int, list[int]]) -> Annotations:
    """(text, annotator, codebook rank, values), oldest first."""
    return Annotations(
        texts=np.array([row[0] for row in given], dtype=np.int64),
        annotators=np.array([row[1] for row in given], dtype=np.int64),
        codebooks=np.array([row[2] for row in given], dtype=np.int64),
        values=np.array([row[3] for row in given], dtype=np.int8),
    )


def test_majority_decides_and_blank_is_missing() -> None:
    found = consensus(
        SCHEME, {"arguments": rows((0, 1, 0, [1, -1]), (0, 2, 0, [1, -1]), (0, 3, 0, [0, -1]))}, 2
    )
    assert found.values.tolist() == [[1, -1, -1, -1, -1], [-1, -1, -1, -1, -1]]
    assert (found.yes[0, 0], found.no[0, 0]) == (2, 1)


def test_a_tie_is_missing_and_listed() -> None:
    found = consensus(SCHEME, {"arguments": rows((1, 1, 0, [1, 0]), (1, 2, 0, [0, 0]))}, 2)
    assert found.values[1].tolist() == [-1, -1, 0, -1, -1]
    assert tied_cells(SCHEME, found.ties) == [(1, "remorse")]


def test_the_newest_value_of_an_annotator_counts_and_a_later_blank_takes_nothing_back() -> None:
    found = consensus(SCHEME, {"arguments": rows((0, 1, 0, [1, 1]), (0, 1, 0, [0, -1]))}, 1)
    assert found.values[0, [0, 2]].tolist() == [0, 1]
    assert found.yes[0, 0] == 0


def test_codebook_versions_never_vote_against_each_other() -> None:
    old_majority = [(0, 1, 0, [1, 1]), (0, 2, 0, [1, 1]), (0, 3, 0, [1, 1])]
    found = consensus(SCHEME, {"arguments": rows(*old_majority, (0, 4, 1, [0, -1]))}, 1)
    assert found.values[0, 0] == 0, "one value under the newer codebook outweighs any number under the older"
    assert found.values[0, 2] == 1, "where the newer one says nothing, the older one still holds"
    assert found.yes[0, 0] == 0


def test_uncertain_and_not_applicable_do_not_vote_but_are_counted() -> None:
    found = consensus(
        SCHEME, {"arguments": rows((0, 1, 0, [2, 3]), (0, 2, 0, [1, 3]), (0, 3, 0, [2, -1]))}, 1
    )
    assert found.values[0, [0, 2]].tolist() == [1, MISSING]
    assert (found.uncertain[0, 0], found.not_applicable[0, 2]) == (2, 2)
    assert not found.ties.any()


def test_doubt_under_the_newer_codebook_silences_the_older_one() -> None:
    found = consensus(SCHEME, {"arguments": rows((0, 1, 0, [1, -1]), (0, 2, 1, [2, -1]))}, 1)
    assert found.values[0, 0] == MISSING
    assert found.uncertain[0, 0] == 1


def test_choose_one_by_plurality_of_one_hot() -> None:
    given = rows(
        (0, 1, 0, [1, 0, 0]),
        (0, 2, 0, [0, 1, 0]),
        (0, 3, 0, [0, 1, 0]),
        (1, 1, 0, [1, 0, 0]),
        (1, 2, 0, [0, 0, 1]),
    )
    found = consensus(SCHEME, {"role": given}, 3)
    assert found.values[:, [1, 3, 4]].tolist() == [[0, 1, 0], [-1, -1, -1], [-1, -1, -1]]
    assert tied_cells(SCHEME, found.ties) == [(1, "role")]
    assert found.yes[0, [1, 3, 4]].tolist() == [1, 2, 0]


def test_choose_one_doubts_are_counted_once_per_annotator() -> None:
    found = consensus(
        SCHEME, {"role": rows((0, 1, 0, [2, 2, 2]), (0, 2, 0, [3, 3, 3]), (0, 3, 0, [0, 0, 1]))}, 1
    )
    assert found.values[0, [1, 3, 4]].tolist() == [0, 0, 1]
    assert (found.uncertain[0, 1], found.not_applicable[0, 1]) == (1, 1)


def test_options_added_after_the_annotations_are_missing_or_not_chosen() -> None:
    arguments = rows((0, 1, 0, [1]))
    role = rows((0, 1, 0, [0, 1]))
    found = consensus(SCHEME, {"arguments": arguments, "role": role}, 1)
    assert found.values[0].tolist() == [1, 0, MISSING, 1, 0]


@pytest.mark.parametrize(
    ("names", "order"),
    [(["v10", "", "v9"], ["", "v9", "v10"]), (["2021", "2019b", "2019a"], ["2019a", "2019b", "2021"])],
)
def test_codebook_versions_are_ordered_by_name_with_numbers_as_numbers(
    names: list[str], order: list[str]
) -> None:
    assert codebook_ranks(names) == {name: rank for rank, name in enumerate(order)}


def test_settled_reviews_override_and_leave_the_rest_alone() -> None:
    values = np.array([[1, 0, 0, 1, 0], [0, -1, 1, -1, -1]], dtype=np.int8)
    settled = [
        (0, "arguments", "remorse", "no"),
        (0, "role", None, "other"),
        (1, "arguments", "youth", "uncertain"),
    ]
    assert overridden(SCHEME, values, settled).tolist() == [[0, 0, 0, 0, 1], [0, -1, -1, -1, -1]]
    assert values[0, 0] == 1
    cleared = overridden(SCHEME, values, [(0, "role", None, "not_applicable")])
    assert cleared[0].tolist() == [1, -1, 0, -1, -1]


def brute_force(given: list[tuple[int, int, int, list[int]]], text: int, place: int) -> int:
    """The rule of a yes_no_set option, said plainly."""
    present = [
        (annotator, book, v[place]) for t, annotator, book, v in given if t == text and v[place] != MISSING
    ]
    newest = max((book for _, book, _ in present), default=0)
    mine = {annotator: value for annotator, book, value in present if book == newest}
    yes, no = list(mine.values()).count(1), list(mine.values()).count(0)
    return 1 if yes > no else 0 if no > yes else MISSING


ROW = st.tuples(
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.lists(st.integers(-1, 3), min_size=2, max_size=2),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30))
def test_the_arrays_do_what_the_rule_says(given: list[tuple[int, int, int, list[int]]]) -> None:
    found = consensus(SCHEME, {"arguments": rows(*given)}, 4)
    for text in range(4):
        assert [int(found.values[text, c]) for c in (0, 2)] == [brute_force(given, text, p) for p in (0, 1)]
