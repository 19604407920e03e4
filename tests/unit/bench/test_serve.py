"""The load generator of `bench.serve` against a server with known delays: charged for queues, honest about breaks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.serve_load import Generator, Plan, parsed
from bench.serve_measure import goodput_within, stage, summed
from bench.soak import slope_of


@contextmanager
def one_at_a_time(seconds: float, break_every: int = 0) -> Iterator[str]:
    """A server that takes `seconds` for each request, one after another, and breaks off every so many; its address."""
    loop = asyncio.new_event_loop()
    count = 0

    async def serve(port: asyncio.Future[int]) -> None:
        lock = asyncio.Lock()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal count
            while head := await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b"":
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                async with lock:
                    await asyncio.sleep(seconds)
                count += 1
                if break_every and count % break_every == 0:
                    writer.close()
                    return
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer-Timing: total;dur=1.50\r\n\r\n{}"
                )

        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handle(reader, writer)
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        server = await asyncio.start_server(quiet, "127.0.0.1", 0)
        port.set_result(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    ready: asyncio.Future[int] = loop.create_future()
    started = threading.Event()
    ready.add_done_callback(lambda _: started.set())
    serving = loop.create_task(serve(ready))
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(asyncio.gather(serving, return_exceptions=True))
    )
    thread.start()
    assert started.wait(20)
    try:
        yield f"http://127.0.0.1:{ready.result()}/x"
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join(20)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def happened(plan: Plan):  # type: ignore[no-untyped-def]
    generator = Generator(plan)
    asyncio.run(generator.run())
    found = generator.happened
    return summed(
        {name: getattr(found, name) for name in ("due", "sent", "done", "status", "timing")}
        | {"cpu_seconds": 0.0},
        plan,
    )


def test_an_open_loop_charges_a_server_that_falls_behind_for_its_queue() -> None:
    with one_at_a_time(0.05) as url:
        found = happened(Plan(url, [json.dumps({"text": "a"})], rate=40.0, seconds=1.0))
    assert found["errors"] == 0
    assert found["requests"] > 20
    # Twice as many come as can be answered: whoever comes late waits for half of those before.
    assert found["latency"]["p99"] > 400
    assert goodput_within([found]) is None
    assert found["stages"]["total"]["p50"] == 1.5


def test_a_closed_loop_sends_as_answers_come_and_breaks_are_errors() -> None:
    with one_at_a_time(0.0, break_every=5) as url:
        found = happened(Plan(url, ["{}"], concurrency=2, seconds=0.5))
    assert found["requests"] >= 10
    assert 0 < found["errors"] <= found["requests"] / 5 + 1
    assert found["statuses"]["0"] == found["errors"]


def test_answers_are_whole_before_they_count() -> None:
    head = b"HTTP/1.1 503 Busy\r\nServer-Timing: queue;dur=2.5, total;dur=3\r\n"
    assert parsed(head + b"Content-Length: 3\r\n\r\nab") is None
    assert parsed(head + b"Content-Length: 3\r\n\r\nabc") == (503, "queue;dur=2.5, total;dur=3")
    assert parsed(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n") is None
    assert parsed(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n") is not None
    assert stage("queue;dur=2.5, total;dur=3", "total") == 3.0
    assert np.isnan(stage("", "total"))


def test_a_slope_has_an_interval_that_holds_it() -> None:
    hours = np.linspace(0, 0.5, 900)
    noise = np.random.default_rng(1).normal(size=900)
    slope, low, high = slope_of(hours, 500 + 10 * hours + noise, 60 / 3600, 0)
    assert low < 10 < high
    assert low < slope < high
    _, low, high = slope_of(hours, 500 + noise, 60 / 3600, 0)
    assert low < 0 < high
