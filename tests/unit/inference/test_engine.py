"""The engine's thread: batches, poisonous texts, its own death, shutdown."""

import threading

import pytest
import torch

from tests.unit.inference.fakes import POISON, FakeReader, put
from workers.inference.engine import BROKEN_AFTER, Engine, EngineBrokenError, EngineStoppedError
from workers.inference.queue import LaneQueue, QueueClosedError
from workers.inference.work import Lane, TextFailure

PATIENCE = 10


@pytest.fixture
def queue():
    return LaneQueue(100_000)


@pytest.fixture
def engine(queue):
    engine = Engine(queue, 64)
    engine.start()
    yield engine
    engine.stop()


def test_results_come_back_by_text_and_window(queue, engine):
    work = put(queue, FakeReader(), ["a" * 25, "b"])
    assert work.future.result(PATIENCE) == [[10.0, 10.0, 5.0], [1.0]]


@pytest.mark.usefixtures("engine")
def test_what_is_answered_is_not_queued_any_more(queue):
    """An answer tells how much is queued: its own tokens are not among that, however soon it is written."""
    reader, queued = FakeReader(gate=threading.Event()), []
    work = put(queue, reader, ["a" * 25])
    work.future.add_done_callback(lambda _: queued.append(queue.queued_tokens))
    reader.gate.set()
    work.future.result(PATIENCE)
    assert queued == [0]


@pytest.mark.usefixtures("engine")
def test_a_poisonous_text_fails_alone(queue):
    reader = FakeReader(gate=threading.Event())
    blocker = put(queue, reader, ["first"])
    assert reader.started.wait(PATIENCE)
    one, two = put(queue, reader, ["fine", POISON]), put(queue, reader, ["also fine"])
    reader.gate.set()
    assert blocker.future.result(PATIENCE) == [[5.0]]
    fine, poisoned = one.future.result(PATIENCE)
    assert fine == [4.0]
    assert isinstance(poisoned, TextFailure)
    assert two.future.result(PATIENCE) == [[9.0]]


@pytest.mark.usefixtures("engine")
def test_a_single_failing_text_does_not_stop_the_engine(queue):
    reader = FakeReader()
    for _ in range(BROKEN_AFTER + 2):
        assert isinstance(put(queue, reader, [POISON]).future.result(PATIENCE)[0], TextFailure)
    assert put(queue, reader, ["fine"]).future.result(PATIENCE) == [[4.0]]


def test_a_device_that_computes_nothing_any_more_ends_the_engine_and_every_caller_hears(queue, engine):
    reader = FakeReader(gate=threading.Event())
    works = [put(queue, reader, [POISON + str(index)] * 20) for index in range(10)]
    reader.gate.set()
    engine.ended.result(PATIENCE)
    outcomes = [work.future.exception(PATIENCE) for work in works]
    assert any(isinstance(outcome, EngineBrokenError) for outcome in outcomes)
    assert not engine.alive
    with pytest.raises(QueueClosedError):
        queue.admit(Lane.INTERACTIVE, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_callers_hear_at_once_when_the_thread_dies(queue):
    def die(_windows, _seconds):
        raise SystemExit("the thread is gone")

    engine = Engine(queue, 64, observe=die)
    reader = FakeReader(gate=threading.Event())
    engine.start()
    put(queue, reader, ["a"])
    assert reader.started.wait(PATIENCE)
    waiting = put(queue, reader, ["b"], Lane.BULK)
    reader.gate.set()
    assert isinstance(waiting.future.exception(PATIENCE), SystemExit)
    engine.ended.result(PATIENCE)


def test_stopping_fails_what_waits(queue, engine):
    reader = FakeReader(gate=threading.Event())
    put(queue, reader, ["a"])
    assert reader.started.wait(PATIENCE)
    waiting = put(queue, reader, ["b"])
    reader.gate.set()
    engine.stop()
    assert waiting.future.done()
    assert not engine.alive
    with pytest.raises(QueueClosedError) as refused:
        queue.admit(Lane.INTERACTIVE, 1)
    assert isinstance(refused.value.__cause__, EngineStoppedError)


def test_like_lengths_share_batches(queue):
    reader = FakeReader(window=32)
    put(queue, reader, ["a" * 30, "b" * 2, "c" * 31, "d" * 3])
    engine = Engine(queue, 64)
    engine.start()
    try:
        put(queue, reader, ["last"]).future.result(PATIENCE)
    finally:
        engine.stop()
    sizes = [sorted(tokens for _, tokens in batch) for batch in reader.batches]
    assert sizes[0] in ([2, 30], [30, 31], [3, 30])
    assert sorted(size for batch in sizes for size in batch) == [2, 3, 4, 30, 31]


class Beside(FakeReader):
    """A reader whose device computes beside the engine's thread; `told` says in which order what was done."""

    def __init__(self, **rest):
        super().__init__(**rest)
        self.told = []

    def begin(self, windows):
        name = windows[0].request.context[windows[0].text]
        self.told.append(f"begin {name}")
        if name == "too much beside another":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if name == "first":
            self.started.set()
            assert self.gate.wait(PATIENCE)

        def fetch():
            self.told.append(f"fetch {name}")
            return FakeReader.run(self, windows)

        return fetch


def put_behind(queue, reader, texts):
    """Requests, each a batch of its own, that come while the engine begins a first one; their results."""
    first = put(queue, reader, ["first"])
    assert reader.started.wait(PATIENCE)
    works = [put(queue, reader, [text]) for text in texts]
    reader.gate.set()
    return [work.future.result(PATIENCE) for work in (first, *works)]


@pytest.fixture
def single(queue):
    """An engine whose batches are of one window."""
    engine = Engine(queue, 1)
    engine.start()
    yield engine
    engine.stop()


def test_a_device_begins_the_next_batch_before_the_one_at_hand_is_fetched(queue, single):
    reader = Beside(gate=threading.Event())
    assert put_behind(queue, reader, ["second", "third"]) == [[[5.0]], [[6.0]], [[5.0]]]
    assert reader.told == [
        "begin first", "begin second", "fetch first", "begin third", "fetch second", "fetch third",
    ]  # fmt: skip
    assert queue.queued_tokens == 0
    single.stop()
    assert not single.alive


@pytest.mark.usefixtures("single")
def test_what_cannot_be_begun_beside_another_batch_is_run_after_it(queue):
    reader = Beside(gate=threading.Event(), window=30)
    results = put_behind(queue, reader, ["too much beside another", "third"])
    assert results == [[[5.0]], [[23.0]], [[5.0]]]
    assert reader.told[:4] == ["begin first", "begin too much beside another", "fetch first", "begin third"]


@pytest.mark.usefixtures("single")
def test_a_batch_that_fails_when_it_is_fetched_fails_its_own_text_alone(queue):
    reader = Beside(gate=threading.Event())
    first, poisoned, third = put_behind(queue, reader, [POISON, "third"])
    assert (first, third) == ([[5.0]], [[5.0]])
    assert isinstance(poisoned[0], TextFailure)


@pytest.mark.usefixtures("engine")
def test_a_batch_too_large_for_memory_is_computed_in_parts_and_later_ones_are_smaller(queue):
    class Small(FakeReader):
        def run(self, windows):
            if sum(window.tokens for window in windows) > 12:
                self.batches.append("too large")
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().run(windows)

    reader = Small()
    assert put(queue, reader, ["a" * 4] * 10).future.result(PATIENCE) == [[4.0]] * 10
    assert reader.batches[0] == "too large"
    before = reader.batches.count("too large")
    assert put(queue, reader, ["b" * 4] * 6).future.result(PATIENCE) == [[4.0]] * 6
    assert reader.batches.count("too large") == before
    wide = Small(window=20)
    one, two = put(queue, wide, ["c" * 15, "d"]).future.result(PATIENCE)
    assert isinstance(one, TextFailure)
    assert "memory" in one.reason
    assert two == [1.0]
