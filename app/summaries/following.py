"""An abstractive summary under way at an inference worker: its events as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from app.http.server_events import Event
from app.inference.answers import refusal
from app.inference.pool import RefusedError, WorkerPool


async def abstract_events(workers: WorkerPool, body: Mapping[str, Any], field: str) -> AsyncGenerator[Event]:
    """`begun`, `progress` {stage, done, total} and `piece` {text} any number of times, then `done` or `failed`; `alive` where nothing is told.

    Args:
        workers: who is asked.
        body: of the worker's POST /abstract.
        field: what a refused model is named by in the request.

    Raises:
        Problem: the worker refused the request itself, none could be reached, or the one at work broke off.
    """
    writes = int(body["recipe"].get("max_tokens") or 0)
    try:
        async with aclosing(workers.events("/abstract", body, writes)) as events:
            async for kind, data in events:
                yield kind or "alive", data
    except RefusedError as refused:
        raise refusal(refused.answer, field) from None
