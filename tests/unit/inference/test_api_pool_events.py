"""Streams through the pool: the least queued worker, another while nothing was told, and an end that is always told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest

from app.http.problems import Unavailable
from app.http.server_events import Event
from app.inference.pool import BEGUN, QUEUED_HEADER, RefusedError, WorkerPool

PIECE = b'event: piece\ndata: {"text":"a"}\n\n'
DONE = b"event: done\ndata: {}\n\n"
ALIVE = b": alive\n\n"
Part = bytes | Exception
Answer = Exception | int | Sequence[Part]
"""An error before the head, a status that refuses, or the parts of a stream."""


class Stream(httpx.AsyncByteStream):
    def __init__(self, parts: Sequence[Part], closed: Callable[[], None]) -> None:
        self._parts, self._closed = parts, closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def aclose(self) -> None:
        self._closed()


class Network:
    """Workers by host name, each with what it answers in turn; the last for ever."""

    def __init__(self, queued: dict[str, int] | None = None, **answers: list[Answer]) -> None:
        self.answers, self.queued = answers, queued or {}
        self.asked: list[str] = []
        self.open = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        self.asked.append(host)
        given = self.answers[host]
        answer = given.pop(0) if len(given) > 1 else given[0]
        headers = {QUEUED_HEADER: str(self.queued.get(host, 0)), "Retry-After": "7"}
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx.Response(answer, json={"code": "queue-full", "detail": host}, headers=headers)
        self.open += 1
        return httpx.Response(200, stream=Stream(answer, self._closed), headers=headers)

    def _closed(self) -> None:
        self.open -= 1


def pool_on(network: Network) -> WorkerPool:
    return WorkerPool([f"http://{host}" for host in network.answers], transport=httpx.MockTransport(network))


def told(network: Network, times: int = 1) -> list[list[str]]:
    """Kinds of the events of each stream, one stream after the other."""

    async def one(pool: WorkerPool) -> list[Event]:
        return [event async for event in pool.events("/generate", {})]

    async def main() -> list[list[str]]:
        pool = pool_on(network)
        found = [[kind for kind, _ in await one(pool)] for _ in range(times)]
        await pool.close()
        return found

    found = asyncio.run(main())
    assert network.open == 0
    return found


def test_the_least_queued_worker_streams_and_all_is_passed_on() -> None:
    network = Network({"a": 50, "b": 10}, a=[[PIECE, DONE]], b=[[ALIVE + PIECE, PIECE + DONE]])
    assert told(network, 3) == [
        ["begun", "piece", "done"], ["begun", "", "piece", "piece", "done"], ["begun", "", "piece", "piece", "done"],
    ]  # fmt: skip
    assert network.asked == ["a", "b", "b"]


@pytest.mark.parametrize(
    "broken",
    [httpx.ReadError("reset"), httpx.ConnectError("gone"), [httpx.ReadError("reset")], [ALIVE], [], 503],
)
def test_a_worker_that_breaks_off_before_it_told_anything_is_followed_by_another(broken: Answer) -> None:
    network = Network(a=[broken], b=[[PIECE, DONE]])
    (found,) = told(network)
    assert [kind for kind in found if kind] == ["begun", "piece", "done"]
    assert network.asked == ["a", "b"]


@pytest.mark.parametrize("ending", [[PIECE, httpx.ReadError("reset")], [PIECE]])
def test_what_has_been_told_is_not_told_twice(ending: list[Part]) -> None:
    network = Network(a=[ending], b=[[PIECE, DONE]])
    with pytest.raises(Unavailable) as problem:
        told(network)
    assert problem.value.slug == "worker-lost"
    assert network.asked == ["a"]


def test_nobody_there_is_a_problem_that_says_so() -> None:
    with pytest.raises(Unavailable) as problem:
        told(Network(a=[httpx.ConnectError("refused")], b=[httpx.ConnectError("refused")]))
    assert problem.value.slug == "no-inference-worker"
    with pytest.raises(Unavailable) as problem:
        told(Network(a=[[]]))
    assert problem.value.slug == "worker-lost"


def test_a_refusal_comes_through_and_a_silent_worker_is_not_asked_twice() -> None:
    network = Network(a=[422], b=[[DONE]])
    with pytest.raises(RefusedError) as refused:
        told(network)
    assert refused.value.answer.json()["detail"] == "a"
    full = Network(a=[503], b=[503])
    with pytest.raises(RefusedError) as refused:
        told(full)
    assert refused.value.answer.headers["retry-after"] == "7"
    assert full.asked == ["a", "b"]
    silent = Network(a=[httpx.ReadTimeout("slow")], b=[[DONE]])
    with pytest.raises(Unavailable) as problem:
        told(silent)
    assert problem.value.slug == "inference-timeout"
    assert silent.asked == ["a"]


def test_a_stream_counts_as_queued_until_it_is_closed() -> None:
    network = Network(a=[[PIECE, DONE]], b=[[PIECE, DONE]])

    async def main() -> None:
        pool = pool_on(network)
        first = pool.events("/generate", {}, writes=100)
        assert await anext(first) is BEGUN
        second = pool.events("/generate", {}, writes=10)
        assert await anext(second) is BEGUN
        third = pool.events("/generate", {})
        assert await anext(third) is BEGUN
        assert (network.asked, network.open) == (["a", "b", "b"], 3)
        await first.aclose()
        assert await anext(pool.events("/generate", {})) is BEGUN
        assert network.asked == ["a", "b", "b", "a"]
        for stream in (second, third):
            await stream.aclose()

    asyncio.run(main())


def test_a_worker_process_that_dies_under_a_stream_over_a_real_socket() -> None:
    served: list[int] = []
    kinds: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        served.append(len(served))
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        if len(served) == 2:
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        writer.close()  # without the last chunk

    async def listen(pool: WorkerPool) -> None:
        async for kind, _ in pool.events("/generate", {}):
            kinds.append(kind)

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            pool = WorkerPool([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"])
            with pytest.raises(Unavailable) as problem:
                await listen(pool)
            assert problem.value.slug == "worker-lost"
            await pool.close()

    asyncio.run(main())
    assert served == [0, 1]  # asked again: nothing had been told
    assert kinds == ["begun", "piece"]
