"""The bulk lane of the inference workers, with patience: full queues, restarts and broken connections are waited out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from workers.inference.wire import QUEUED_HEADER
from workers.job_context import JobFailed

PATIENCE_SECONDS = 600.0
"""How long no worker may answer before the job gives up."""
_LONGEST_PAUSE = 10.0
_FIRST_PAUSE = 0.2
_READ_SECONDS = 900.0
_GROWTH = 1.6


@dataclass(slots=True)
class _Worker:
    url: str
    queued: float = 0
    in_flight: int = 0


class BulkWorkers:
    """Asks whichever worker is least busy. Belongs to one event loop."""

    def __init__(
        self,
        urls: Sequence[str],
        token: str,
        patience: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Args:
        urls: the workers.
        token: their shared secret; empty: none.
        patience: seconds without any answer after which JobFailed is raised.
        transport: in place of the network, for tests.
        """
        self._workers = [_Worker(url.rstrip("/")) for url in urls]
        self._patience = patience
        self._heard = time.monotonic()
        self._client = httpx.AsyncClient(
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=httpx.Timeout(_READ_SECONDS, connect=5.0),
            transport=transport,
            trust_env=False,
        )

    @property
    def count(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    async def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        """Ask until a worker answers with success.

        Raises:
            JobFailed: the workers refuse what is asked, or none has answered for a long time.
        """
        content, pause = orjson.dumps(body), _FIRST_PAUSE
        while True:
            worker = min(self._workers, key=lambda worker: (worker.in_flight, worker.queued))
            answer = await self._try(worker, path, content)
            if answer is not None and answer.is_success:
                return answer
            wait = self._pause(answer, pause)
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)
            await asyncio.sleep(wait)

    async def close(self) -> None:
        """Close the connections; workers drop what was still asked of them."""
        await self._client.aclose()

    async def _try(self, worker: _Worker, path: str, content: bytes) -> httpx.Response | None:
        worker.in_flight += 1
        try:
            answer = await self._client.post(worker.url + path, content=content)
        except httpx.TransportError:
            worker.queued = float("inf")
            return None
        finally:
            worker.in_flight -= 1
        worker.queued = float(answer.headers.get(QUEUED_HEADER, 0))
        return answer

    def _pause(self, answer: httpx.Response | None, pause: float) -> float:
        """Seconds to wait after an attempt without success; JobFailed where waiting does not help."""
        code, detail = _reason(answer)
        if answer is not None and answer.is_client_error:
            raise JobFailed(code, f"The inference worker refused: {detail}")
        if code == "queue-full" and answer is not None:
            self._heard = time.monotonic()
            return min(_LONGEST_PAUSE, float(answer.headers.get("Retry-After", pause)))
        if time.monotonic() - self._heard > self._patience:
            raise JobFailed(
                "no-inference-worker",
                f"No inference worker has answered for {self._patience:.0f} s (last: {detail}). Start one, then start the job again.",
            )
        return pause

    def heard(self) -> None:
        """Note that work goes forward."""
        self._heard = time.monotonic()


def _reason(answer: httpx.Response | None) -> tuple[str, str]:
    if answer is None:
        return "unreachable", "no connection"
    try:
        document = answer.json()
        return str(document["code"]), str(document["detail"])
    except (ValueError, KeyError, TypeError):
        return "inference-refused", f"status {answer.status_code}"
