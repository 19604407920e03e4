"""Job events as Server-Sent Events: woken by NOTIFY, read from the table, so that a client that comes back misses none."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
import structlog
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import DBAPIError

from app.db.session import reading
from app.jobs.queries import EVENTS_CHANNEL, events_after, get_job
from app.jobs.rules import is_final
from app.settings import get_settings

KEEP_ALIVE_SECONDS = 10.0
"""Longest silence on the wire; also how late an event is when its notification was lost."""
BATCH = 500
RECONNECT_MILLISECONDS = 1000

log = structlog.get_logger("remand.events")


class EventBell:
    """One LISTEN connection of this process for all its event streams; opened for the first, closed after the last."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def heard(self, job_id: str) -> AsyncIterator[asyncio.Event]:
        """An asyncio.Event that is set whenever the job may have news."""
        news = asyncio.Event()
        self._waiting[job_id].add(news)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            yield news
        finally:
            self._waiting[job_id].discard(news)
            if not self._waiting[job_id]:
                del self._waiting[job_id]
            if not self._waiting and self._listener is not None:
                self._listener.cancel()
                self._listener = (
                    None  # it ends in its own time; the next stream must not take it for a living one
                )

    async def _listen(self) -> None:
        """Pass notifications on until cancelled; a lost connection is opened again, and everybody looks once."""
        while True:
            try:
                await self._until_lost(str(get_settings().database_url))
            except psycopg.Error as error:
                log.warning("no database", error=type(error).__name__)
                await asyncio.sleep(1.0)

    async def _until_lost(self, url: str) -> None:
        async with await _connected(url) as connection:
            await connection.execute(f"LISTEN {EVENTS_CHANNEL}")
            for job_id in list(self._waiting):
                self._ring(job_id)
            async for notification in connection.notifies():
                self._ring(notification.payload)

    def _ring(self, job_id: str) -> None:
        for news in self._waiting.get(job_id, ()):
            news.set()


async def _connected(url: str) -> psycopg.AsyncConnection:
    """A connection; when cancelled meanwhile it is made and closed, because Postgres waits a minute for an aborted handshake."""
    connecting = asyncio.ensure_future(
        psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=5, application_name="remand-events"
        )
    )
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        await (await connecting).close()
        raise


_bells: WeakKeyDictionary[asyncio.AbstractEventLoop, EventBell] = WeakKeyDictionary()


def bell() -> EventBell:
    """The bell of the running event loop."""
    return _bells.setdefault(asyncio.get_running_loop(), EventBell())


async def event_stream(job_id: str, after: int) -> AsyncIterator[bytes]:
    """SSE frames of every event above number `after`, until the job has ended and all of it was told.

    Ends early when the database goes away: the client comes back with Last-Event-ID.
    """
    async with bell().heard(job_id) as news:
        yield format_sse_event(retry=RECONNECT_MILLISECONDS)
        while True:
            news.clear()
            try:
                found, over = await run_in_threadpool(_read, job_id, after)
            except DBAPIError:
                return
            for event in found:
                after = event["number"]
                yield format_sse_event(
                    event=event["kind"], id=str(after), data_str=json.dumps(event, separators=(",", ":"))
                )
            if over:
                return
            if len(found) < BATCH:
                try:
                    await asyncio.wait_for(news.wait(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    yield KEEPALIVE_COMMENT


def _read(job_id: str, after: int) -> tuple[list[dict[str, Any]], bool]:
    """The next events as JSON, and whether they are the last ones; one snapshot of the data."""
    with reading() as session:
        job = get_job(session, job_id)
        events = events_after(session, job_id, after, BATCH) if job else []
        found = [
            {"number": event.number, "kind": event.kind, "at": event.at.isoformat(), "data": event.data}
            for event in events
        ]
        return found, job is None or (is_final(job.state) and len(found) < BATCH)
