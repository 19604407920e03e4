"""A stream of events gives up what it reads from when its caller goes, at whatever moment."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from app.http.event_answers import EventsAnswer

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


async def answered(leaves_after: int | None) -> tuple[list[str], int]:
    """What was begun and closed, in order, and how many messages were sent to a caller who leaves after so many."""
    found: list[str] = []
    sent = 0
    left = asyncio.Event()
    if leaves_after == 0:
        left.set()

    async def events() -> AsyncGenerator[bytes]:
        found.append("begun")
        try:
            yield b"one"
            yield b"two"
        finally:
            found.append("ended")

    async def close() -> None:
        found.append("closed")

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal sent
        assert message["type"].startswith("http.response.")
        sent += 1
        if sent == leaves_after:
            left.set()
            await asyncio.Event().wait()  # the caller's socket takes no more

    await EventsAnswer(events(), close)(SCOPE, receive, send)
    return found, sent


@pytest.mark.parametrize(
    ("leaves_after", "found"),
    [(1, ["closed"]), (2, ["begun", "ended", "closed"]), (None, ["begun", "ended", "closed"])],
)
def test_all_is_closed_before_the_answer_is_over(leaves_after: int | None, found: list[str]) -> None:
    gc.disable()
    try:
        assert asyncio.run(answered(leaves_after)) == (found, leaves_after or 4)
        assert asyncio.run(answered(0))[0][-1] == "closed"
    finally:
        gc.enable()
