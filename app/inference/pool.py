"""The api's way to the inference workers: kept connections, the least queued worker first, one second try."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from fastapi import Request

from app.http.problems import Unavailable
from app.settings import Settings

QUEUED_HEADER = "X-Remand-Queued-Tokens"
_REQUEST_SECONDS = 120.0
_CONNECT_SECONDS = 2.0
_IDLE_SECONDS = 60.0
"""Connections idle for longer are closed, before the worker does it (75 s)."""
_UNREACHABLE_TOKENS = math.inf


@dataclass(slots=True)
class _Worker:
    """A worker's address and the queue it last told of."""

    url: str
    queued: float = 0


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
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(_REQUEST_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=_IDLE_SECONDS
            ),
            transport=transport,
            trust_env=False,
        )

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Send JSON to the least queued worker; once more, elsewhere if there is another, when it breaks off or is full.

        Whatever is asked of workers changes nothing there, so asking twice is harmless.

        Raises:
            Unavailable: no worker could be reached.
        """
        content = orjson.dumps(body)
        order = sorted(self._workers, key=lambda worker: worker.queued)
        answer: httpx.Response | None = None
        for worker in (order * 2)[:2]:
            answer = await self._try(worker, path, content) or answer
            if answer is not None and (
                answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or len(order) == 1
            ):
                return answer
        if answer is None:
            raise Unavailable(
                "No inference worker answers: the operator starts one with `python -m workers.inference`, or looks at its log.",
                slug="no-inference-worker",
            )
        return answer

    async def load(self, adapter: str) -> int:
        """Have every worker load an adapter by its blob digest; how many did."""
        content = orjson.dumps({"adapter": adapter})
        answers = await asyncio.gather(*(self._try(worker, "/load", content) for worker in self._workers))
        return sum(answer is not None and answer.is_success for answer in answers)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _try(self, worker: _Worker, path: str, content: bytes) -> httpx.Response | None:
        """An answer, or None when the connection failed."""
        try:
            answer = await self._client.post(
                worker.url + path, content=content, headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError:
            worker.queued = _UNREACHABLE_TOKENS
            return None
        worker.queued = float(answer.headers.get(QUEUED_HEADER, 0))
        return answer


def make_pool(settings: Settings) -> WorkerPool:
    """The pool for the configured workers."""
    return WorkerPool(settings.inference_urls, settings.inference_token.get_secret_value())


def pool_of(request: Request) -> WorkerPool:
    """The pool of the app that serves a request, as a dependency."""
    pool: WorkerPool = request.app.state.workers
    return pool
