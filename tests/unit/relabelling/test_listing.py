"""Disagreements in order and in words; settled cells."""

import numpy as np

from models.scheme import Option, Question, QuestionKind, Scheme
from workers.relabel.listing import Reading, in_order, listed, settled_mask
from workers.relabel.members import Assignment

SCHEME = Scheme(
    (
        Question("many", QuestionKind.YES_NO_SET, (Option("a", 0), Option("b", 3))),
        Question("one", QuestionKind.CHOOSE_ONE, (Option("x", 1), Option("y", 2))),
    )
)
READING = Reading(
    SCHEME.cells,
    SCHEME.option_keys,
    np.array([[0.9, 0.2, 0.8, 0.3], [0.35, 0.6, 0.4, 0.1]], dtype=np.float32),
    np.array([[0, 1, 0, 1], [1, 1, 0, 0]], dtype=np.int8),
    np.array([[0.5, 0.5, 0.5, 0.4]] * 2, dtype=np.float32),
)


def test_flagged_cells_come_by_falling_suspicion_then_by_text_and_cell():
    scores = np.array([[0.9, 0.8, 0.7], [0.9, 0.1, np.nan]], dtype=np.float32)
    flags = np.array([[True, True, True], [True, False, False]])
    assert in_order(scores, flags) == [(0, 0), (1, 0), (0, 1), (0, 2)]


def test_values_and_the_probability_of_the_human_one():
    queue = [(text, cell, "flag") for text in range(2) for cell in range(3)]
    found = {(f.text, f.cell): f for f in listed(READING, np.zeros((2, 3), np.float32), queue)}
    words = {place: (f.human_value, f.model_value, round(f.probability, 2)) for place, f in found.items()}
    assert words == {
        (0, 0): ("no", "yes", 0.1),
        (0, 1): ("x", "y", 0.2),
        (0, 2): ("yes", "no", 0.3),
        (1, 0): ("yes", "no", 0.35),
        (1, 1): ("x", "x", 0.6),
        (1, 2): ("no", "no", 0.9),
    }


def test_nothing_flagged_is_nothing_listed():
    assert list(listed(READING, np.zeros((2, 3), np.float32), [])) == []


def test_cells_of_findings_come_after_the_queue_and_say_nothing_of_a_model_where_none_read_unseen():
    scores = np.array([[0.9, np.nan, 0.7], [0.5, 0.1, 0.2]], dtype=np.float32)
    found = list(listed(READING, scores, [(1, 0, "decoy")], [(0, 1), (0, 2)]))
    assert [(f.position, f.reason, f.human_value) for f in found] == [
        (1, "decoy", "yes"),
        (2, "finding", "x"),
        (3, "finding", "yes"),
    ]
    assert (found[1].model_value, found[1].probability, found[1].suspicion) == (None, None, None)
    assert found[2].suspicion == np.float32(0.7)


def test_settled_cells_are_found_by_text_and_name_and_strangers_are_passed_over():
    mask = settled_mask(
        SCHEME.cells,
        {7: 0, 9: 1},
        [(9, "one", None), (7, "many", "b"), (8, "many", "a"), (7, "gone", None)],
        2,
    )
    assert mask.tolist() == [[False, False, True], [False, True, False]]


def test_a_text_is_read_by_all_models_that_have_not_seen_it_else_by_the_final_one():
    assignment = Assignment(
        ("fold0", "fold1", "final"), np.array([[True, False], [True, True], [False, False]])
    )
    assert [assignment.uses(text) for text in range(3)] == [[0], [0, 1], [2]]
    assert assignment.held_out.tolist() == [True, True, False]
