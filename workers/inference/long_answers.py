"""JSON answers that may take longer than callers wait in silence: spaces before them say that the worker is at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import orjson
from starlette.responses import Response, StreamingResponse

from app.background import heard

ALIVE_SECONDS = 10.0
"""Between two signs of life."""


async def long_answer(working: Coroutine[Any, Any, dict[str, Any]]) -> Response:
    """The answer as soon as its document is there.

    What takes longer than ALIVE_SECONDS begins with spaces, which JSON allows before a document; its status is told by then,
    so that what fails afterwards breaks the connection off, and callers ask again.
    """
    task = asyncio.ensure_future(working)
    task.add_done_callback(heard)  # the caller may have gone
    try:
        await asyncio.wait({task}, timeout=ALIVE_SECONDS)
        if task.done():
            return Response(orjson.dumps(task.result()), media_type="application/json")
    except BaseException:
        task.cancel()
        raise
    return StreamingResponse(_spaced(task), media_type="application/json")


async def _spaced(task: asyncio.Task[dict[str, Any]]) -> AsyncIterator[bytes]:
    try:
        while not task.done():
            yield b" "
            await asyncio.wait({task}, timeout=ALIVE_SECONDS)
        yield orjson.dumps(task.result())
    finally:
        task.cancel()
