"""Server-sent events of another server as they arrive. Lines end at line feeds alone: U+2028 and its like may stand inside a text."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import httpx

Event = tuple[str, dict[str, Any]]
"""Kind and data; a comment, which says no more than that the server lives, has an empty kind."""


class EventReader:
    """Puts the bytes of a stream together to events whose data is one line of JSON."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""

    def take(self, part: bytes) -> Iterator[Event]:
        """The events that these bytes complete."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            if line.startswith(b"event: "):
                self._kind = line[7:].rstrip(b"\r").decode()
            elif line.startswith(b"data: "):
                yield self._kind, json.loads(line[6:])
            elif line.startswith(b":"):
                yield "", {}


async def events_of(answer: httpx.Response) -> AsyncGenerator[Event]:
    """The events of an open answer, one by one."""
    reader = EventReader()
    async for part in answer.aiter_bytes():
        for event in reader.take(part):
            yield event
