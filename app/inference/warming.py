"""Promoted adapters are loaded by the workers before anybody asks for them: at the api's start, and when one is promoted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import psycopg
import structlog
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.adapters.queries import ADAPTERS_CHANNEL
from app.db.session import reading
from app.db.tables import Adapter, Corpus
from app.inference.pool import WorkerPool
from app.settings import get_settings

AT_START = 4
"""Promoted adapters, newest first, that are loaded when the api starts."""
_PAUSE_SECONDS = 2.0

log = structlog.get_logger("remand.inference")


async def keep_warm(pool: WorkerPool, promoted: Callable[[], None] = lambda: None) -> None:
    """Have workers load what is promoted, until cancelled. Everything here is a favour: whoever needs an adapter has it loaded anyway.

    promoted: called as soon as an adapter was.
    """
    url = get_settings().database_url
    while url:
        try:
            await _until_lost(url, pool, promoted)
        except (psycopg.Error, DBAPIError) as error:
            log.debug("no database", error=type(error).__name__)
            await asyncio.sleep(_PAUSE_SECONDS)


async def _until_lost(url: str, pool: WorkerPool, promoted: Callable[[], None]) -> None:
    connecting = asyncio.ensure_future(
        psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=5, application_name="remand-adapters"
        )
    )
    try:
        connection = await asyncio.shield(connecting)
    except asyncio.CancelledError:  # Postgres would wait a minute for an aborted handshake
        await (await connecting).close()
        raise
    async with connection:
        await connection.execute(f"LISTEN {ADAPTERS_CHANNEL}")
        await _load(pool, await run_in_threadpool(_promoted))
        async for notification in connection.notifies():
            promoted()
            await _load(pool, await run_in_threadpool(_blob_of, notification.payload))


async def _load(pool: WorkerPool, digests: Sequence[str]) -> None:
    for digest in digests:
        loaded = await pool.load(digest)
        log.info("adapter loaded ahead", digest=digest, workers=loaded)


def _promoted() -> list[str]:
    query = select(Adapter.blob_digest).join(Corpus, Corpus.promoted_adapter_id == Adapter.id)
    with reading() as session:
        return list(session.scalars(query.order_by(Adapter.promoted_at.desc()).limit(AT_START)))


def _blob_of(adapter_id: str) -> list[str]:
    with reading() as session:
        return list(session.scalars(select(Adapter.blob_digest).where(Adapter.id == adapter_id)))
