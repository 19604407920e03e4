"""Events of another server as they come: whole whatever they hold, and however the network cuts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from app.http.server_events import EventReader, events_of

TEXT = "an end\u2028of a line, a\u0085nd a page\u2029 \u05e9\u05dc\u05d5\u05dd"


def raw() -> bytes:
    import orjson

    return (
        b": alive\n\nevent: piece\ndata: "
        + orjson.dumps({"text": TEXT})
        + b"\n\nevent: done\r\ndata: {}\r\n\r\n"
    )


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_separators_of_unicode_do_not_cut_an_event(size: int) -> None:
    reader, sent = EventReader(), raw()
    found = [
        event for start in range(0, len(sent), size) for event in reader.take(sent[start : start + size])
    ]
    assert found == [("", {}), ("piece", {"text": TEXT}), ("done", {})]


def test_events_of_an_answer() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield raw()

    async def read() -> list[tuple[str, dict[str, object]]]:
        return [event async for event in events_of(httpx.Response(200, content=body()))]

    assert asyncio.run(read())[1] == ("piece", {"text": TEXT})
