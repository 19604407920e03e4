"""An abstractive summary under way at an inference worker: its events as they come."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import orjson

from app.http.problems import Unavailable
from app.http.server_events import Event, events_of
from app.inference.answers import refusal
from app.inference.pool import no_worker
from app.settings import get_settings

_SILENT_SECONDS = 60.0
"""A worker gives a sign of life every ten seconds."""
_CONNECT_SECONDS = 2.0


async def abstract_events(
    body: Mapping[str, Any], field: str, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Event]:
    """`progress` {stage, done, total} any number of times, then `done` or `failed`; `alive` where nothing is told.

    Args:
        body: of the worker's POST /abstract.
        field: what a refused model is named by in the request.
        transport: in place of the network, for tests.

    Raises:
        Problem: the worker refused the request itself.
        Unavailable: no worker could be reached, or the one at work broke off.
    """
    settings = get_settings()
    token = settings.inference_token.get_secret_value()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    urls = random.sample(settings.inference_urls, len(settings.inference_urls))
    timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
    async with httpx.AsyncClient(timeout=timeout, transport=transport, trust_env=False) as client:
        for url in urls:
            try:
                request = client.build_request(
                    "POST", f"{url.rstrip('/')}/abstract", content=orjson.dumps(body), headers=headers
                )
                answer = await client.send(request, stream=True)
            except httpx.TransportError:
                continue
            try:
                if not answer.is_success:
                    await answer.aread()
                    raise refusal(answer, field)
                async for kind, data in events_of(answer):
                    yield kind or "alive", data
            except httpx.TransportError as error:
                raise Unavailable(
                    "The inference worker broke off while the summary was being written: try again.",
                    slug="inference-failed",
                ) from error
            finally:
                await answer.aclose()
            return
    raise no_worker()
