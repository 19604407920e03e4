"""The bell that wakes event streams."""

from __future__ import annotations

import asyncio

import pytest

from app.jobs.stream import EventBell


def test_a_stream_that_begins_while_the_last_listener_ends_gets_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closing a connection takes a moment; a stream begun in it would hear nothing until the next look."""
    begun: list[asyncio.Event] = []

    async def slow_to_end(_bell: EventBell) -> None:
        over = asyncio.Event()
        begun.append(over)
        try:
            await asyncio.Event().wait()
        finally:
            await over.wait()

    monkeypatch.setattr(EventBell, "_listen", slow_to_end)

    async def two_streams() -> None:
        bell = EventBell()
        async with bell.heard("job_1"):
            await asyncio.sleep(0)
        async with bell.heard("job_2"):
            await asyncio.sleep(0)
            assert len(begun) == 2
        for over in begun:
            over.set()

    asyncio.run(two_streams())
