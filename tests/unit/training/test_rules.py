"""What a train job learns from: chosen options, chosen rows, counts, refusals, pairs of annotators."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from app.corpora.rules import Annotations
from app.http.problems import Invalid
from app.training.rules import check, chosen_scheme, human_pair, option_counts, select
from models.scheme import Dependency, Option, Question, QuestionKind, Scheme

ARGUMENTS = Question(
    "arguments", QuestionKind.YES_NO_SET, (Option("remorse", 0), Option("health", 2), Option("youth", 3))
)
OUTCOME = Question("outcome", QuestionKind.CHOOSE_ONE, (Option("granted", 1), Option("denied", 4)))
SCHEME = Scheme(
    (ARGUMENTS, OUTCOME), (Dependency("youth", ("remorse", "health")), Dependency("health", ("remorse",)))
)
VALUES = np.array(
    [
        # remorse granted health youth denied
        [1, 1, 0, 0, 0],
        [0, -1, 1, 0, -1],
        [-1, -1, -1, -1, -1],
        [-1, 0, -1, -1, 1],
        [0, -1, 0, 1, -1],
    ],
    dtype=np.int8,
)
KEYS = [f"letter-{number}" for number in range(5)]


def test_all_options_keep_their_columns() -> None:
    assert chosen_scheme(SCHEME, None) == (SCHEME, [0, 1, 2, 3, 4])


def test_chosen_options_are_numbered_anew_and_keep_the_rules_among_them() -> None:
    scheme, columns = chosen_scheme(SCHEME, ["youth", "health", "remorse"])
    assert columns == [0, 2, 3]
    assert [(option.key, option.position) for option in scheme.options] == [
        ("remorse", 0),
        ("health", 1),
        ("youth", 2),
    ]
    assert scheme.dependencies == SCHEME.dependencies
    without, _ = chosen_scheme(SCHEME, ["youth", "remorse"])
    assert without.dependencies == ()


def test_a_question_stands_for_its_options() -> None:
    scheme, columns = chosen_scheme(SCHEME, ["outcome"])
    assert (scheme.option_keys, columns) == (("granted", "denied"), [1, 4])


def test_half_a_question_is_refused() -> None:
    with pytest.raises(Invalid, match="'outcome' has one answer"):
        chosen_scheme(SCHEME, ["granted", "remorse"])


def test_only_labelled_rows_are_taken() -> None:
    assert select(SCHEME, VALUES, KEYS).rows.tolist() == [0, 1, 3, 4]
    chosen = select(SCHEME, VALUES, KEYS, options=["outcome"])
    assert (chosen.rows.tolist(), chosen.labels.tolist()) == ([0, 3], [[1, 0], [0, 1]])
    among = np.array([False, True, True, True, False])
    assert select(SCHEME, VALUES, KEYS, among=among).rows.tolist() == [1, 3]


def test_a_larger_sample_holds_the_smaller_one() -> None:
    samples = [set(select(SCHEME, VALUES, KEYS, limit=limit, seed=7).rows.tolist()) for limit in (1, 2, 3, 9)]
    assert [len(sample) for sample in samples] == [1, 2, 3, 4]
    assert all(smaller < larger for smaller, larger in itertools.pairwise(samples))
    drawn = {tuple(select(SCHEME, VALUES, KEYS, limit=2, seed=seed).rows) for seed in range(20)}
    assert len(drawn) > 1


def test_retired_options_teach_nothing_but_keep_their_column() -> None:
    options = tuple(replace(option, retired=option.key == "remorse") for option in ARGUMENTS.options)
    scheme = Scheme((replace(ARGUMENTS, options=options), OUTCOME))
    assert (select(scheme, VALUES, KEYS).labels[:, 0] == -1).all()


def test_nothing_labelled_is_refused() -> None:
    with pytest.raises(Invalid) as caught:
        select(SCHEME, np.full((3, 5), -1, dtype=np.int8), KEYS[:3])
    assert caught.value.slug == "nothing-labelled"


def test_counts_tell_no_from_missing() -> None:
    counts = {
        count.key: (count.yes, count.no, count.missing)
        for count in option_counts(select(SCHEME, VALUES, KEYS))
    }
    assert counts["remorse"] == (1, 2, 1)
    assert counts["granted"] == (1, 1, 2)


def test_fewer_groups_than_folds_are_refused() -> None:
    selection = select(SCHEME, VALUES, KEYS)
    check(selection, 5, 5, None)
    for groups, folds in ((4, 5), (1, None)):
        with pytest.raises(Invalid) as caught:
            check(selection, groups, folds, None)
        assert (caught.value.slug, caught.value.field) == ("too-few-groups", "/folds")


def test_an_option_without_positives_is_refused_when_named_and_warned_of_otherwise() -> None:
    values = VALUES.copy()
    values[:, 3] = 0
    everything = select(SCHEME, values, KEYS)
    assert any(
        "youth" in warning and "nothing will be learned" in warning
        for warning in check(everything, 5, 2, None)
    )
    with pytest.raises(Invalid) as caught:
        check(everything, 5, 2, ["youth"])
    assert (caught.value.slug, caught.value.extra["options"]) == ("no-positives", ["youth"])
    with pytest.raises(Invalid):
        check(select(SCHEME, values[:, :], KEYS, options=["youth"]), 5, 2, None)


def test_a_column_without_any_no_is_warned_of() -> None:
    values = VALUES.copy()
    values[values[:, 0] == 0, 0] = -1
    assert any("a blank is missing" in warning for warning in check(select(SCHEME, values, KEYS), 5, 2, None))


def test_where_no_column_has_a_no_nothing_can_be_told_apart() -> None:
    values = np.where(VALUES == 0, -1, VALUES).astype(np.int8)
    with pytest.raises(Invalid) as caught:
        check(select(SCHEME, values, KEYS), 5, 2, None)
    assert caught.value.slug == "options-never-vary"


def annotations(rows: list[tuple[int, int, list[int]]]) -> Annotations:
    return Annotations(
        texts=np.array([row[0] for row in rows]),
        annotators=np.array([row[1] for row in rows]),
        codebooks=np.zeros(len(rows), dtype=np.int64),
        values=np.array([row[2] for row in rows], dtype=np.int8),
    )


def test_the_first_two_annotators_of_a_text_are_its_pair() -> None:
    given = {
        "arguments": annotations(
            [
                (0, 5, [0, 0, 0]),
                (0, 7, [1, 0, -1]),
                (0, 5, [1, 1, 2]),
                (1, 5, [1, 1, 1]),
                (2, 9, [0, 0, 0]),
                (2, 8, [1, 1, 3]),
            ]
        ),
        "outcome": annotations([(0, 5, [1, 0]), (0, 7, [2, -1])]),
    }
    pair = human_pair(SCHEME, given, 3)
    assert pair is not None
    first, second = (matrix.tolist() for matrix in pair)
    # the newest of annotator 5, and uncertain and not applicable are no votes
    assert first == [[1, 1, 1, -1, 0], [-1] * 5, [1, -1, 1, -1, -1]]
    assert second == [[1, -1, 0, -1, -1], [-1] * 5, [0, -1, 0, 0, -1]]


def test_without_a_second_annotator_there_is_no_pair() -> None:
    assert human_pair(SCHEME, {"arguments": annotations([(0, 5, [1, 0, 0]), (1, 6, [0, 0, 0])])}, 2) is None
    assert human_pair(SCHEME, {}, 2) is None


def test_options_that_came_after_the_snapshot_are_left_out_of_the_pair() -> None:
    """An import may append an option between the freeze and the reading of annotations."""
    pair = human_pair(SCHEME, {"arguments": annotations([(0, 5, [1, 0, 0, 1]), (0, 6, [0, 0, 1, 1])])}, 1)
    assert pair is not None
    assert [matrix.tolist() for matrix in pair] == [[[1, -1, 0, 0, -1]], [[0, -1, 0, 1, -1]]]
