"""What of inference lives as long as the api: the pool of connections to the workers, and the task that keeps them warm."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.inference.pool import make_pool
from app.inference.remembered import RememberedAdapters
from app.inference.warming import keep_warm
from app.settings import get_settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """`FastAPI(lifespan=…)`: sets `app.state.workers` and `app.state.served`."""
    app.state.workers = make_pool(get_settings())
    app.state.served = RememberedAdapters()
    warming = asyncio.create_task(keep_warm(app.state.workers, app.state.served.forget))
    try:
        yield
    finally:
        warming.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await warming
        await app.state.workers.close()
