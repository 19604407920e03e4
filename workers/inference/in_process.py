"""A worker's own routes called in its process, their events one by one as they are sent (httpx's ASGI transport waits for all of them)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx
import orjson
from starlette.types import ASGIApp, Message

Event = tuple[str, dict[str, Any]]


async def posted_events(
    app: ASGIApp, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> AsyncGenerator[Event | httpx.Response]:
    """The events that a POST answers with; an answer that is no stream of events comes whole, as a response.

    Whoever stops listening takes the request back: the route sees its caller go.
    """
    sent: asyncio.Queue[Message | None] = asyncio.Queue()
    left = asyncio.Event()
    waiting: list[Message] = [{"type": "http.request", "body": orjson.dumps(body), "more_body": False}]

    async def receive() -> Message:
        if waiting:
            return waiting.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.put_nowait(message)

    working = asyncio.ensure_future(app(_scope(path, headers), receive, send))
    working.add_done_callback(lambda _: sent.put_nowait(None))
    try:
        head = await sent.get()
        if head is None or head["status"] != httpx.codes.OK:
            yield await _whole(head, sent, working)
            return
        text = b""
        while (message := await sent.get()) is not None:
            *complete, text = (text + message.get("body", b"")).split(b"\n\n")
            for block in complete:
                if (event := _event(block)) is not None:
                    yield event
        working.result()
    finally:
        left.set()
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await working


async def _whole(
    head: Message | None, sent: asyncio.Queue[Message | None], working: asyncio.Future[None]
) -> httpx.Response:
    content = b""
    while head is not None and (message := await sent.get()) is not None:
        content += message.get("body", b"")
    if head is None:
        working.result()
        raise RuntimeError("the route ended without an answer")
    return httpx.Response(head["status"], content=content, headers=head.get("headers", []))


def _event(block: bytes) -> Event | None:
    lines = dict(line.split(b": ", 1) for line in block.splitlines() if not line.startswith(b":"))
    return (lines[b"event"].decode(), orjson.loads(lines[b"data"])) if b"data" in lines else None


def _scope(path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    sent = {"content-type": "application/json", **headers}
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": None, "server": None,
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }  # fmt: skip
