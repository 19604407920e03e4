"""The queue: interactive first, counted in tokens, refusing in time, forgetting callers that have gone."""

import pytest

from models.encoder.pace import Batching
from tests.unit.inference.fakes import FakeReader, put, work_of
from workers.inference.queue import (
    BULK_SHARE,
    LEAST_SLICE,
    PRESENCE_SECONDS,
    LaneQueue,
    QueueClosedError,
    QueueFullError,
)
from workers.inference.work import Lane, LateError, TextFailure


def test_interactive_goes_before_bulk_that_came_first():
    queue, reader = LaneQueue(1000), FakeReader()
    bulk = put(queue, reader, ["a" * 5], Lane.BULK)
    interactive = put(queue, reader, ["b" * 5])
    assert queue.take(100)[0].request is interactive
    assert queue.take(100)[0].request is bulk


def test_a_batch_holds_windows_of_one_reader_and_the_oldest_reader_comes_first():
    queue, first, second = LaneQueue(1000), FakeReader("a"), FakeReader("b")
    one, two, three = put(queue, first, ["a"]), put(queue, second, ["b"]), put(queue, first, ["c"])
    assert [window.request for window in queue.take(100)] == [one, three]
    assert [window.request for window in queue.take(100)] == [two]


def test_readers_take_turns_so_that_a_long_queue_of_one_holds_up_none():
    queue = LaneQueue(10_000)
    crowd = FakeReader("crowd")
    put(queue, crowd, ["a" * 10] * 50, Lane.BULK)
    others = [FakeReader(str(number)) for number in range(5)]
    for reader in others:
        put(queue, reader, ["b" * 10] * 3, Lane.BULK)
    turns = [queue.take(20)[0].request.runner for _ in range(12)]
    assert turns == [crowd, *others, crowd, *others]


def test_readers_that_can_be_read_together_fill_a_batch_and_still_take_turns():
    queue = LaneQueue(10_000)
    crowd, friend = FakeReader("crowd", friends="them"), FakeReader("friend", friends="them")
    stranger = FakeReader("stranger")
    many = put(queue, crowd, ["a" * 10] * 5, Lane.BULK)
    strange, few = put(queue, stranger, ["b" * 10], Lane.BULK), put(queue, friend, ["c" * 10], Lane.BULK)
    batches = [[window.request for window in queue.take(20)] for _ in range(4)]
    assert batches == [[many, many], [strange], [few, many], [many, many]]
    assert queue.take(20, timeout=0.01) == []


def test_what_did_not_fit_waits_on_in_its_order_and_with_its_own_reader():
    queue = LaneQueue(10_000)
    first, second = (FakeReader(name, window=30, friends="them") for name in "ab")
    one, two = put(queue, first, ["a" * 3, "b" * 30]), put(queue, second, ["c" * 3, "d" * 29])
    assert [(window.request, window.tokens) for window in queue.take(6)] == [(one, 3), (two, 3)]
    assert [(window.request, window.tokens) for window in queue.take(60)] == [(two, 29), (one, 30)]


def test_a_flat_batch_takes_what_waited_longest_whatever_its_length():
    queue, reader = LaneQueue(1000), FakeReader(window=30, batching=Batching(True, 40))
    put(queue, reader, ["a" * 3, "b" * 30, "c" * 5, "d" * 3, "e"])
    assert [window.tokens for window in queue.take(1)] == [3, 30, 5]
    assert [window.tokens for window in queue.take(1)] == [3, 1]


def test_bulk_batches_are_short_while_people_use_the_worker():
    now = [0.0]
    queue = LaneQueue(100_000, clock=lambda: now[0])
    reader = FakeReader(window=100, batching=Batching(True, 2000))
    put(queue, reader, ["a" * 100] * 100, Lane.BULK)
    assert len(queue.take(1)) == 20
    put(queue, reader, ["b"])
    assert len(queue.take(1)) == 1
    assert sum(window.tokens for window in queue.take(1)) <= LEAST_SLICE
    now[0] += PRESENCE_SECONDS + 1
    assert len(queue.take(1)) == 20


def test_a_request_that_waited_past_its_deadline_is_not_computed_and_hears_why():
    now = [0.0]
    queue, reader = LaneQueue(1000, clock=lambda: now[0]), FakeReader()
    first, late = put(queue, reader, ["a"], deadline=5.0), put(queue, reader, ["b" * 25], deadline=1.0)
    now[0] = 2.0
    assert [window.request for window in queue.take(100)] == [first]
    assert isinstance(late.future.exception(0), LateError)
    assert queue.queued_tokens == 1
    assert queue.take(100, timeout=0.01) == []


def test_a_request_that_was_begun_in_time_is_finished():
    now = [0.0]
    queue, reader = LaneQueue(1000, clock=lambda: now[0]), FakeReader()
    work = put(queue, reader, ["a" * 25], deadline=1.0)
    assert len(queue.take(10)) == 1
    work.started_at = 0.5
    now[0] = 2.0
    assert len(queue.take(100)) == 2


def test_batches_stay_below_what_did_not_fit_into_memory():
    queue, reader = LaneQueue(1000), FakeReader()
    put(queue, reader, ["a" * 10] * 8)
    queue.too_large(40)
    assert len(queue.take(80)) == 2


def test_tokens_are_counted_until_they_are_computed():
    queue, reader = LaneQueue(1000), FakeReader()
    work = put(queue, reader, ["a" * 25])
    assert queue.queued_tokens == 25
    windows = queue.take(1000)
    assert queue.queued_tokens == 25
    for window in windows:
        work.settle(window, 1.0)
    queue.done(windows, 0.001)
    assert queue.queued_tokens == 0


def test_a_full_queue_says_when_to_come_back_at_the_measured_speed():
    queue, reader = LaneQueue(100), FakeReader()
    for _ in range(200):
        work = put(queue, reader, ["a" * 10])
        windows = queue.take(100)
        work.settle(windows[0], 1.0)
        queue.done(windows, 0.1)
    assert queue.tokens_per_second == pytest.approx(100, rel=0.01)
    put(queue, reader, ["a" * 100])
    with pytest.raises(QueueFullError) as refused:
        queue.admit(Lane.INTERACTIVE, 50)
    assert refused.value.retry_after == pytest.approx(0.5, rel=0.01)


def test_bulk_cannot_fill_the_room_of_people_who_wait():
    queue, reader = LaneQueue(100), FakeReader()
    put(queue, reader, ["a" * int(100 * BULK_SHARE)], Lane.BULK)
    with pytest.raises(QueueFullError):
        queue.admit(Lane.BULK, 1)
    assert queue.admit(Lane.INTERACTIVE, 20).tokens == 20


def test_a_request_larger_than_the_queue_is_taken_when_its_lane_is_empty():
    queue = LaneQueue(100)
    queue.admit(Lane.BULK, 5000)
    with pytest.raises(QueueFullError):
        queue.admit(Lane.BULK, 1)


def test_room_that_is_not_used_is_given_back():
    queue = LaneQueue(100)
    admission = queue.admit(Lane.INTERACTIVE, 60)
    queue.release(admission)
    queue.release(admission)
    assert queue.queued_tokens == 0


def test_a_dropped_request_is_neither_counted_nor_computed():
    queue, reader = LaneQueue(1000), FakeReader()
    gone, staying = put(queue, reader, ["a" * 30]), put(queue, reader, ["b" * 5])
    queue.drop(gone)
    assert queue.queued_tokens == 5
    assert [window.request for window in queue.take(1000)] == [staying]


def test_closing_fails_what_waits_and_refuses_what_comes():
    queue, reader = LaneQueue(1000), FakeReader()
    waiting = put(queue, reader, ["a"])
    taken = put(queue, FakeReader("other"), ["b"])
    queue.take(100)
    admission = queue.admit(Lane.INTERACTIVE, 1)
    queue.close(RuntimeError("over"))
    for work in (waiting, taken):
        with pytest.raises(RuntimeError, match="over"):
            work.future.result(0)
    with pytest.raises(QueueClosedError):
        queue.admit(Lane.INTERACTIVE, 1)
    work, windows = work_of(reader, ["c"])
    with pytest.raises(QueueClosedError):
        queue.put(admission, work, windows)
    assert queue.queued_tokens == 0
    assert queue.take(100, timeout=10) == []


def test_a_request_whose_texts_all_failed_is_complete_at_once():
    work, windows = work_of(FakeReader(), ["unreadable"])
    assert windows == []
    assert isinstance(work.future.result(0)[0], TextFailure)


def test_waiting_for_a_batch_ends_after_the_timeout():
    assert LaneQueue(10).take(10, timeout=0.01) == []
