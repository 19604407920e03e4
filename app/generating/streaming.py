"""Text as it is written: a worker's stream, or two beside each other, passed on as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
import orjson
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from app.http.problems import Problem
from app.http.server_events import Event
from app.inference.answers import refusal
from app.inference.pool import RefusedError

KEEP_ALIVE_SECONDS = 10.0


async def events(
    streams: Mapping[str, AsyncGenerator[Event]],
) -> AsyncGenerator[tuple[str, Event]]:
    """The events of several streams as they come, each (`piece`, `done`, `failed`) with the name of its stream; a keep-alive has an empty name."""
    heard: asyncio.Queue[tuple[str, Event] | None] = asyncio.Queue()

    async def listen(name: str, stream: AsyncGenerator[Event]) -> None:
        try:
            async for event in stream:
                if event[0]:
                    await heard.put((name, event))
        except RefusedError as refused:  # by the worker that was asked after one broke off
            await heard.put((name, _failed(refusal(refused.answer, name))))
        except Problem as problem:
            await heard.put((name, _failed(problem)))
        finally:
            await heard.put(None)

    listening = [asyncio.create_task(listen(name, stream)) for name, stream in streams.items()]
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
        # Starlette cancels whoever waits here again and again; a second time would interrupt the closing of connections.
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*listening, return_exceptions=True)


def wire(kind: str, data: Mapping[str, Any]) -> bytes:
    """An event as it is sent; a keep-alive for an empty kind."""
    if not kind:
        return KEEPALIVE_COMMENT
    return format_sse_event(data_str=orjson.dumps(data).decode(), event=kind)


def _failed(problem: Problem) -> Event:
    return "failed", {"code": problem.slug, "detail": problem.detail}
