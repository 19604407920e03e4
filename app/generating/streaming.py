"""Text as it is written: a worker's stream, or two beside each other, passed on as Server-Sent Events."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import orjson
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from app.http.server_events import Event, events_of
from app.inference.pool import no_worker
from app.settings import Settings

KEEP_ALIVE_SECONDS = 10.0
_CONNECT_SECONDS = 2.0
_SILENCE_SECONDS = 120.0
_turn = itertools.count()
"""Which worker is asked first: one after the other."""


async def open_streams(
    settings: Settings, bodies: Sequence[Mapping[str, Any]], stack: AsyncExitStack
) -> list[httpx.Response]:
    """A worker's answer to each body, its head read and its stream open until `stack` is closed.

    Raises:
        Unavailable: no worker could be reached.
    """
    client = await run_in_threadpool(_client, settings)  # it reads certificates
    await stack.enter_async_context(client)
    return [await _open(client, settings.inference_urls, body, stack) for body in bodies]


async def events(answers: Mapping[str, httpx.Response]) -> AsyncIterator[tuple[str, Event]]:
    """The events of several streams as they come, each (`piece`, `done`, `failed`) with the name of its stream; a keep-alive has an empty name."""
    heard: asyncio.Queue[tuple[str, Event] | None] = asyncio.Queue()

    async def listen(name: str, answer: httpx.Response) -> None:
        try:
            async for event in events_of(answer):
                if event[0]:
                    await heard.put((name, event))
        except httpx.HTTPError:
            detail = "The inference worker broke off: ask again."
            await heard.put((name, ("failed", {"code": "worker-lost", "detail": detail})))
        finally:
            await heard.put(None)

    listening = [asyncio.create_task(listen(name, answer)) for name, answer in answers.items()]
    open_ones = len(listening)
    try:
        while open_ones:
            try:
                found = await asyncio.wait_for(heard.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield "", ("", {})
                continue
            if found is None:
                open_ones -= 1
            else:
                yield found
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)


def wire(kind: str, data: Mapping[str, Any]) -> bytes:
    """An event as it is sent; a keep-alive for an empty kind."""
    if not kind:
        return KEEPALIVE_COMMENT
    return format_sse_event(data_str=orjson.dumps(data).decode(), event=kind)


def _client(settings: Settings) -> httpx.AsyncClient:
    token = settings.inference_token.get_secret_value()
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS),
        trust_env=False,
    )


async def _open(
    client: httpx.AsyncClient, urls: Sequence[str], body: Mapping[str, Any], stack: AsyncExitStack
) -> httpx.Response:
    first, answer = next(_turn), None
    for place in range(len(urls)):
        url = urls[(first + place) % len(urls)].rstrip("/")
        asking = client.stream("POST", f"{url}/generate", json=dict(body))
        try:
            answer = await stack.enter_async_context(asking)
        except httpx.TransportError:
            continue
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    if answer is None:
        raise no_worker()
    return answer
