"""POST /perplexity of a worker: in time or said to be late, between other requests, and not for callers who have gone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from models.generative.decode.causal import CausalModel
from tests.running_writers import running_writers
from workers.inference import long_answers
from workers.inference.explain import Pieces, _tried
from workers.inference.generation import GenerationLimits, Writers
from workers.inference.perplexity_route import PerplexityRoute
from workers.inference.queue import Admission, LaneQueue, QueueFullError
from workers.inference.service import CallerGoneError
from workers.inference.work import Lane, make_work

PATIENCE = 60
TEXT = "the court held that a claim of right must be heard " * 4


class Windows:
    """Windows that are read on the engine's thread: each waits until it may go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[int] = []
        self.begun = threading.Semaphore(0)
        self.may = threading.Semaphore(0)
        losses = CausalModel.losses

        def slow(model: CausalModel, ids: Any) -> Any:
            self.begun.release()
            assert self.may.acquire(timeout=PATIENCE)
            self.read.append(len(ids))
            return losses(model, ids)

        monkeypatch.setattr(CausalModel, "losses", slow)

    async def one_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=PATIENCE)

    def let(self, count: int = 100) -> None:
        for _ in range(count):
            self.may.release()


@pytest.fixture
def queue() -> LaneQueue:
    return LaneQueue(10_000)


@pytest.fixture
def writers(tmp_path: Path, queue: LaneQueue) -> Iterator[Writers]:
    limits = GenerationLimits(queued_tokens=1000, seconds=1.0)
    with running_writers(tmp_path, limits, queue) as writers:
        yield writers


def ask(writers: Writers, gone: asyncio.Event | None = None, **body: Any) -> Awaitable[Response]:
    content = json.dumps({"base": "gptj", "texts": [TEXT, TEXT], "window": 16} | body).encode()
    coming: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Message:
        if coming:
            return coming.pop()
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/perplexity", "headers": []}
    return PerplexityRoute(writers).perplexity(Request(scope, receive))


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await main()

    asyncio.run(bounded())


def test_what_is_not_read_in_time_says_so_and_the_rest_is_answered(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(monkeypatch)

    async def main() -> None:
        asking = asyncio.ensure_future(ask(writers, texts=["the court held", TEXT]))
        await windows.one_begun()
        windows.let(1)
        results = json.loads((await asking).body)["results"]
        assert results[0]["perplexity"] > 1
        assert results[1]["code"] == "late"
        assert "within the 1 s" in results[1]["error"]
        assert writers.generations.queued_tokens == 0
        windows.let()

    run(main)


def test_people_have_their_turn_between_two_windows(
    writers: Writers, queue: LaneQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(monkeypatch)
    seen: list[int] = []

    async def main() -> None:
        asking = asyncio.ensure_future(ask(writers))
        await windows.one_begun()
        piece = [lambda: _tried(lambda: seen.append(len(windows.read)))]
        ids = np.zeros(4, dtype=np.int32)
        work, waiting = make_work(Pieces(), Lane.INTERACTIVE, [[ids]], piece)
        queue.put(Admission(Lane.INTERACTIVE, 0), work, waiting)
        windows.let()
        await asking
        await asyncio.wrap_future(work.future)
        assert seen == [1]
        assert len(windows.read) > 2

    run(main)


def test_a_caller_who_gave_up_is_noticed_before_the_next_window(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = Windows(monkeypatch)

    async def main() -> None:
        gone = asyncio.Event()
        asking = asyncio.ensure_future(ask(writers, gone, lane="bulk"))
        await windows.one_begun()
        gone.set()
        with pytest.raises(CallerGoneError):
            await asking
        assert writers.generations.queued_tokens == 0
        windows.let()
        await writers.generations.carry_out(lambda: None)  # after whatever waits still
        assert len(windows.read) == 1

    run(main)


def test_bulk_has_all_the_time_and_gives_signs_of_life(
    writers: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        expected = json.loads((await ask(writers)).body)
        windows = Windows(monkeypatch)
        monkeypatch.setattr(long_answers, "ALIVE_SECONDS", 0.05)
        answer = await ask(writers, lane="bulk")
        assert isinstance(answer, StreamingResponse)
        assert writers.generations.queued_tokens > 0
        parts: list[bytes] = []
        async for part in answer.body_iterator:
            parts.append(bytes(part))  # type: ignore[arg-type]
            if len(parts) == 3:
                windows.let()
        assert parts[:3] == [b" "] * 3
        assert json.loads(b"".join(parts)) == expected
        assert writers.generations.queued_tokens == 0

    run(main)


def test_bulk_waits_in_its_own_part_of_the_queue(writers: Writers) -> None:
    writers.generations.admit(740, bulk=True)

    async def main() -> None:
        with pytest.raises(QueueFullError):
            await ask(writers, lane="bulk")
        assert (await ask(writers)).status_code == 200

    run(main)
    assert writers.generations.queued_tokens == 740
