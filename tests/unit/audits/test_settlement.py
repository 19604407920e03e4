"""Blind readings become settled values: by one reader, by two who agree, by an adjudicator where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from app.audits.cells import read_cells, whole_options
from app.audits.frame import NOT_DRAWN, Frame, read_frame, to_arrow
from app.audits.settlement import Readings, disputed, settle
from models.scheme import MISSING, NOT_APPLICABLE, UNCERTAIN, Option, Question, QuestionKind, Scheme

SCHEME = Scheme(
    (
        Question(
            "topics", QuestionKind.YES_NO_SET, (Option("bail", 0), Option("costs", 1), Option("delay", 4))
        ),
        Question("outcome", QuestionKind.CHOOSE_ONE, (Option("won", 2), Option("lost", 3))),
    )
)
ALL = ("bail", "costs", "won", "lost", "delay")
CELLS = read_cells(SCHEME, ALL)


def readings(
    *readers: list[list[int]], adjudicator: list[list[int]] | None = None, unread: int = 0
) -> Readings:
    """Readings of all options; the last reader has not read the last `unread` texts."""
    values = tuple(np.array(values, dtype=np.int8) for values in readers)
    read = np.ones((len(values[0]), len(values)), dtype=np.bool_)
    read[len(read) - unread :, -1] = False
    last = None if adjudicator is None else np.array(adjudicator, dtype=np.int8)
    return Readings(values, last, read, np.full(len(read), adjudicator is not None))


def test_cells_are_read_in_the_order_of_the_scheme() -> None:
    assert [(cell.key, cell.columns) for cell in CELLS] == [
        ("bail", (0,)), ("costs", (1,)), ("outcome", (2, 3)), ("delay", (4,)),
    ]  # fmt: skip
    assert [cell.columns for cell in read_cells(SCHEME, ("costs", "delay"))] == [(0,), (1,)]


def test_who_asks_for_one_answer_of_a_question_reads_all_of_it() -> None:
    assert whole_options(SCHEME, ["lost", "bail"]) == ("bail", "won", "lost")


def test_one_reader_settles_what_was_decided_and_nothing_else() -> None:
    found = settle(
        readings([[1, UNCERTAIN, 0, 1, NOT_APPLICABLE], [0, MISSING, UNCERTAIN, UNCERTAIN, 1]]), CELLS
    )
    assert found.tolist() == [[1, MISSING, 0, 1, MISSING], [0, MISSING, MISSING, MISSING, 1]]


def test_two_readers_settle_where_they_agree_and_leave_the_rest_in_dispute() -> None:
    pair = readings([[1, 0, 1, 0, 1]], [[1, 1, 0, 1, MISSING]])
    assert disputed(pair, CELLS).tolist() == [[False, True, True, True]]
    assert settle(pair, CELLS).tolist() == [[1, MISSING, MISSING, MISSING, MISSING]]


def test_the_adjudicator_decides_the_dispute_and_only_that() -> None:
    pair = readings([[1, 0, 1, 0, 1]], [[1, 1, 0, 1, 1]], adjudicator=[[0, 1, 0, 1, 0]])
    assert settle(pair, CELLS).tolist() == [[1, 1, 0, 1, 1]]


def test_one_reading_of_two_settles_nothing() -> None:
    pair = readings([[1, 0, 1, 0, 1], [1, 1, 1, 0, 1]], [[1, 0, 1, 0, 1], [1, 1, 1, 0, 1]], unread=1)
    assert not disputed(pair, CELLS).any()
    assert settle(pair, CELLS).tolist() == [[1, 0, 1, 0, 1], [MISSING] * 5]


def test_two_who_skip_the_same_cell_are_not_in_dispute() -> None:
    pair = readings([[MISSING, 0, 1, 0, 1]], [[MISSING, 0, 1, 0, 1]], adjudicator=[[1, 1, 0, 1, 0]])
    assert settle(pair, CELLS).tolist() == [[MISSING, 0, 1, 0, 1]]


def test_a_frame_comes_back_as_it_was_stored(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("frame") / "frame.arrow"
    frame = Frame(
        text_ids=np.array([11, 12, 13]),
        text_version_ids=np.array([21, 22, 23]),
        external_ids=["a", "b", "ג"],
        stratum=np.array([1, 0, 1], dtype=np.int32),
        place=np.array([1, NOT_DRAWN, 0], dtype=np.int32),
        given=np.array([[1, MISSING], [0, 1], [1, 1]], dtype=np.int8),
        audited=np.array([[True, False], [True, True], [False, True]]),
        suspicion=np.array([[0.5, np.nan], [0.1, 0.2], [0.3, 0.9]], dtype=np.float32),
    )
    path.write_bytes(to_arrow(frame))
    again = read_frame(path)
    assert again.drawn.tolist() == [2, 0]
    assert again.sizes.tolist() == [1, 2]
    assert again.taken.tolist() == [0, 2]
    for name in ("text_ids", "text_version_ids", "stratum", "place", "given", "audited", "suspicion"):
        np.testing.assert_array_equal(getattr(again, name), getattr(frame, name))
    assert again.external_ids == frame.external_ids
