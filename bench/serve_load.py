"""The load generator of `bench.serve`, a process of its own: `python -m bench.serve_load`, a plan on stdin, what happened on stdout, both JSON.

Open loop: requests are sent when a Poisson process says so, whether or not earlier ones were answered, and their latency counts from
then on: a server that falls behind is charged for the queue (no coordinated omission). How late the generator itself was is told beside it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

WAKE_SECONDS = 0.0015
"""How long before its time a request is woken up; the rest is slept exactly (epoll wakes by whole milliseconds)."""
DRAIN_SECONDS = 30.0
"""How long answers are waited for after the last request of an open loop; later ones count as errors."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send where, and how."""

    url: str
    bodies: list[str]
    headers: dict[str, str] = field(default_factory=dict)
    rate: float = 0.0
    """Requests a second of an open loop; 0: closed loop."""
    concurrency: int = 1
    """Requests under way at a time in a closed loop."""
    seconds: float = 10.0
    seed: int = 0
    cores: list[int] = field(default_factory=list)
    """Processor cores the generator keeps to; empty: any."""


@dataclass(slots=True)
class Happened:
    """Seconds since the start, and what came back."""

    due: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    """0: the connection broke, or no answer came."""
    timing: list[str] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One kept connection with one request at a time; just enough HTTP/1.1."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._waiting: asyncio.Future[tuple[int, str]] | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """A request under way has failed."""
        self.open = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result((0, ""))

    def data_received(self, data: bytes) -> None:
        """Collect until an answer is whole."""
        self._buffer += data
        found = parsed(self._buffer)
        if found is not None and self._waiting is not None and not self._waiting.done():
            self._buffer = b""
            self._waiting.set_result(found)

    def ask(self, raw: bytes) -> asyncio.Future[tuple[int, str]]:
        """Status and Server-Timing of the answer, when it is whole."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return self._waiting

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.abort()


def parsed(raw: bytes) -> tuple[int, str] | None:
    """Status and Server-Timing of a whole answer, else None."""
    head, found, body = raw.partition(b"\r\n\r\n")
    if not found:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if "content-length" in headers:
        whole = len(body) >= int(headers["content-length"])
    else:
        whole = body.endswith(b"0\r\n\r\n")
    return (int(lines[0].split(" ")[1]), headers.get("server-timing", "")) if whole else None


class Generator:
    """Sends what a plan says."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._to = urlsplit(plan.url)
        self._raw = [self._request(body) for body in plan.bodies]
        self._idle: deque[Connection] = deque()
        self._began = 0.0
        self.happened = Happened()

    async def run(self) -> None:
        """Carry out the plan."""
        await self._warm(self._plan.concurrency if not self._plan.rate else 8)
        gc.collect()
        gc.disable()
        self._began = time.perf_counter()
        await (self._open() if self._plan.rate else self._closed())
        for connection in self._idle:
            connection.close()

    async def _warm(self, connections: int) -> None:
        for _ in range(connections):
            self._idle.append(await self._connect())

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        host, port = self._to.hostname, self._to.port
        _, connection = await loop.create_connection(Connection, host, port)
        return connection

    async def _closed(self) -> None:
        async def caller(number: int) -> None:
            place = number
            while self._now() < self._plan.seconds:
                await self._one(place, self._now())
                place += self._plan.concurrency

        await asyncio.gather(*(caller(number) for number in range(self._plan.concurrency)))

    async def _open(self) -> None:
        draw, due, place = random.Random(self._plan.seed), 0.0, 0
        under_way: set[asyncio.Task[None]] = set()
        while (due := due + draw.expovariate(self._plan.rate)) < self._plan.seconds:
            left = due - WAKE_SECONDS - self._now()
            await asyncio.sleep(max(0.0, left))
            time.sleep(max(0.0, due - self._now()))  # noqa: ASYNC251  # a millisecond, exactly
            task = asyncio.ensure_future(self._one(place, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            place += 1
            await asyncio.sleep(0)
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _one(self, place: int, due: float) -> None:
        status, timing = 0, ""
        sent = self._now()
        try:
            while self._idle and not self._idle[-1].open:
                self._idle.pop()
            connection = self._idle.pop() if self._idle else await self._connect()
            sent = self._now()
            status, timing = await connection.ask(self._raw[place % len(self._raw)])
            if status:
                self._idle.append(connection)
        except OSError:
            pass
        finally:
            self._note(due, sent, status, timing)

    def _note(self, due: float, sent: float, status: int, timing: str) -> None:
        found = self.happened
        for column, value in (
            (found.due, due), (found.sent, sent), (found.done, self._now()),
            (found.status, status), (found.timing, timing),
        ):  # fmt: skip
            column.append(value)  # type: ignore[attr-defined]

    def _now(self) -> float:
        return time.perf_counter() - self._began

    def _request(self, body: str) -> bytes:
        content = body.encode()
        headers = {
            "Host": self._to.netloc, "Content-Type": "application/json", "Content-Length": str(len(content)),
            **self._plan.headers,
        }  # fmt: skip
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self._to.path or '/'} HTTP/1.1\r\n{lines}\r\n".encode() + content


def main() -> int:
    """Read a plan, carry it out, tell."""
    given: dict[str, Any] = json.load(sys.stdin)
    plan = Plan(**given)
    if plan.cores:
        os.sched_setaffinity(0, plan.cores)
    generator = Generator(plan)
    before = time.process_time()
    asyncio.run(generator.run())
    found = generator.happened
    columns = {name: getattr(found, name) for name in ("due", "sent", "done", "status", "timing")}
    json.dump(columns | {"cpu_seconds": time.process_time() - before}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
