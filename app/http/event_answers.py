"""Server-Sent Events as an answer that closes what it is read from, whenever its caller goes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class EventsAnswer(StreamingResponse):
    """A stream of events. Starlette leaves one whose caller has gone to the garbage collector, begun or not."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes], close: Callable[[], Awaitable[None]]) -> None:
        """Args:
        events: as they are sent.
        close: gives up what the events are made of; called once, after their end.
        """
        super().__init__(events, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._events, self._close = events, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them until the last, or until the caller has gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()
            await self._close()
