"""The api's way to the inference workers: kept connections, the least queued worker first, one second try; whole answers or events as they come."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import orjson
from fastapi import Request

from app.http.problems import Problem, Unavailable
from app.http.server_events import Event, events_of
from app.inference.connections import IDLE_SECONDS, Connections
from app.settings import Settings

QUEUED_HEADER = "X-Remand-Queued-Tokens"
REQUEST_SECONDS = 120.0
TURN_SECONDS = 90.0
"""How long a request waits for its turn at most; what is begun by then has the rest of REQUEST_SECONDS to be done."""
CONNECT_SECONDS = 2.0
AVOIDED_SECONDS = 5.0
"""How long a worker that broke off or is starting again is asked last."""
_BYTES_PER_TOKEN = 4
Gone = Callable[[], Awaitable[object]]
"""Returns when whoever asked has gone away."""
_BUSY = (b"queue-full", b"late")
"""Codes of refusals by workers that are well."""
Send = Callable[[str, bytes, Mapping[str, str]], Awaitable[httpx.Response]]
_JSON = {"Content-Type": "application/json"}
BEGUN: Event = ("begun", {})
"""The first of a worker's events here: it has taken the request."""
_LAST = ("done", "failed")
_SLOW = (httpx.ReadTimeout, httpx.WriteTimeout)
T = TypeVar("T")


class CallerLeft(Problem):
    """499: whoever asked has gone. Nobody reads this answer; what was asked of the worker is withdrawn."""

    status, slug, title = 499, "caller-left", "The caller has gone"


class RefusedError(Exception):
    """A worker refused what was asked; carries its answer."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"status {answer.status_code}")
        self.answer = answer


def no_worker() -> Unavailable:
    """The problem that no worker could be reached."""
    return Unavailable(
        "No inference worker answers. `remand up` starts one that died again: ask again in a minute. Elsewhere the operator starts one with `python -m workers.inference`; its log says why it ended.",
        slug="no-inference-worker",
    )


def _silent() -> Unavailable:
    return Unavailable(
        f"The inference worker has not answered within {REQUEST_SECONDS:.0f} s.", slug="inference-timeout"
    )


def _lost() -> Unavailable:
    return Unavailable("The inference worker broke off: ask again.", slug="worker-lost")


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker's address and what is known of its queue."""

    url: str
    others: float = 0
    """Tokens that it last told of, less those asked from here."""
    under_way: int = 0
    """Tokens asked from here that are not answered, by a guess."""
    avoided_until: float = 0

    @property
    def load(self) -> tuple[bool, float]:
        """Order of asking: those that answer first, then the least queued."""
        return time.monotonic() < self.avoided_until, self.others + self.under_way

    def heard(self, answer: httpx.Response) -> None:
        """Learn from an answer, which counts what is still under way from here."""
        self.others = max(0.0, float(answer.headers.get(QUEUED_HEADER, 0)) - self.under_way)
        refused = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        if refused and not any(code in answer.content for code in _BUSY):
            self.avoid()

    def avoid(self) -> None:
        """Ask others first, for a while."""
        self.avoided_until = time.monotonic() + AVOIDED_SECONDS


class WorkerPool:
    """Sends requests to inference workers. Belongs to one event loop."""

    def __init__(
        self, urls: Sequence[str], token: str = "", transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Args:
        urls: the workers.
        token: their shared secret; empty: none.
        transport: in place of the network, for tests.
        """
        self._workers = [_Worker(url.rstrip("/")) for url in urls]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connections = Connections(headers, CONNECT_SECONDS, REQUEST_SECONDS)
        self._send: Send = self._connections.post
        self._client = client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=IDLE_SECONDS),
            transport=transport,
            verify=any(url.startswith("https:") for url in urls),  # certificates take a while to read
            trust_env=False,
        )
        if transport is not None:
            self._send = lambda url, content, more: client.post(url, content=content, headers=more)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        gone: Gone | None = None,
        *,
        again: bool = True,
        wait: float | None = None,
        writes: int = 0,
    ) -> httpx.Response:
        """Send JSON to the least queued worker; once more, elsewhere if there is another, when it breaks off or is full.

        Args:
            path: of the route.
            body: becomes JSON.
            gone: returns when the caller has gone away; then the request is withdrawn, and the worker drops what it queued for it.
            again: whether asking twice is harmless, as it is where nothing changes and nothing is drawn.
            wait: seconds that the caller waits; what a worker has not begun by then it refuses and does not compute. TURN_SECONDS at most.
            writes: tokens that the worker shall write, counted as under way beside those sent.

        Raises:
            Unavailable: no worker could be reached, or none answered in time.
            CallerLeft: the caller has gone.
        """
        until = time.monotonic() + min(TURN_SECONDS, TURN_SECONDS if wait is None else wait)
        asking = self._ask(path, orjson.dumps(body), again, until, writes)
        return await (asking if gone is None else unless_gone(asking, gone))

    async def events(self, path: str, body: Mapping[str, Any], writes: int = 0) -> AsyncGenerator[Event]:
        """The events that the least queued worker answers with, BEGUN before them; those of an empty kind say that it lives.

        While nothing was told it is asked once more, elsewhere if there is another, when it breaks off or is full. Whoever
        stops listening closes this, and the worker drops what it was asked.

        Args:
            path: of the route.
            body: becomes JSON.
            writes: as for `post`.

        Raises:
            RefusedError: the worker refuses.
            Unavailable: no worker could be reached, none answered in time, or the one at work broke off.
        """
        content, order = orjson.dumps(body), self._order()
        refused: RefusedError | None = None
        begun = told = False
        for worker in (order * 2)[:2]:
            try:
                async with aclosing(self._events(worker, path, content, writes)) as events:
                    async for event in events:
                        if event is not BEGUN or not begun:
                            begun, told = True, told or bool(event[0] and event is not BEGUN)
                            yield event
            except RefusedError as error:
                refused = error
                if error.answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or len(order) == 1:
                    raise
            except httpx.TransportError as error:
                worker.avoid()
                if told or isinstance(error, _SLOW):
                    raise (_lost() if told else _silent()) from error
            else:
                return
        if refused is not None:
            raise refused
        raise _lost() if begun else no_worker()

    async def load(self, adapter: str) -> int:
        """Have every worker load an adapter by its blob digest; how many did."""
        content = orjson.dumps({"adapter": adapter})
        answers = await asyncio.gather(
            *(self._try(worker, "/load", content) for worker in self._workers), return_exceptions=True
        )
        return sum(isinstance(answer, httpx.Response) and answer.is_success for answer in answers)

    async def close(self) -> None:
        """Close the connections."""
        self._connections.close()
        await self._client.aclose()

    def _order(self) -> list[_Worker]:
        return sorted(self._workers, key=lambda worker: worker.load)

    async def _ask(self, path: str, content: bytes, again: bool, until: float, writes: int) -> httpx.Response:
        order = self._order()
        answer: httpx.Response | None = None
        for worker in (order * 2)[: 2 if again else 1]:
            answer = await self._try(worker, path, content, until, writes) or answer
            if answer is not None and (
                answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or len(order) == 1
            ):
                return answer
            if time.monotonic() > until:  # nobody would wait for another
                break
        if answer is None:
            raise no_worker()
        return answer

    async def _try(
        self, worker: _Worker, path: str, content: bytes, until: float | None = None, writes: int = 0
    ) -> httpx.Response | None:
        """An answer, or None when the connection failed. until: when its caller leaves, of `time.monotonic`."""
        left = None if until is None else max(0, math.ceil(until - time.monotonic()))
        headers = {} if left is None else {"Prefer": f"wait={left}"}
        tokens = len(content) // _BYTES_PER_TOKEN + writes
        worker.under_way += tokens
        try:
            answer = await self._send(worker.url + path, content, headers)
        except _SLOW as error:
            # It may be at work on this still: asking once more would double what it cannot keep up with.
            worker.avoid()
            raise _silent() from error
        except httpx.TransportError:
            worker.avoid()
            return None
        finally:
            worker.under_way -= tokens
        worker.heard(answer)
        return answer

    async def _events(self, worker: _Worker, path: str, content: bytes, writes: int) -> AsyncGenerator[Event]:
        """One worker's; TransportError where it breaks off before the last."""
        async with self._opened(worker, path, content, writes) as answer:
            if not answer.is_success:
                raise RefusedError(answer)
            yield BEGUN
            async with aclosing(events_of(answer)) as events:
                async for event in events:
                    yield event
                    if event[0] in _LAST:
                        return
        raise httpx.RemoteProtocolError("the stream ended before its last event")

    @asynccontextmanager
    async def _opened(
        self, worker: _Worker, path: str, content: bytes, writes: int
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose head is read; all of it where it refuses."""
        tokens = len(content) // _BYTES_PER_TOKEN + writes
        worker.under_way += tokens
        try:
            async with self._client.stream(
                "POST", worker.url + path, content=content, headers=_JSON
            ) as answer:
                if not answer.is_success:
                    await answer.aread()
                worker.heard(answer)
                yield answer
        finally:
            worker.under_way -= tokens


async def unless_gone(asking: Awaitable[T], gone: Gone) -> T:
    """What is asked for; CallerLeft, and it is cancelled, when `gone` returns first."""
    answer, leaving = asyncio.ensure_future(asking), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({answer, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        raise CallerLeft("The caller has gone away.")
    finally:
        for task in (answer, leaving):
            if not task.done():
                task.cancel()
        await asyncio.gather(answer, leaving, return_exceptions=True)


def make_pool(settings: Settings) -> WorkerPool:
    """The pool for the configured workers."""
    return WorkerPool(settings.inference_urls, settings.inference_token.get_secret_value())


def pool_of(request: Request) -> WorkerPool:
    """The pool of the app that serves a request."""
    pool: WorkerPool = request.app.state.workers
    return pool


async def workers_of(request: Request) -> WorkerPool:
    """`pool_of` as a dependency: plain functions would be called in a thread."""
    return pool_of(request)


def caller_gone(request: Request) -> Callable[[], Awaitable[None]]:
    """What waits until whoever sent a request has gone; for handlers that have read its body."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return gone
