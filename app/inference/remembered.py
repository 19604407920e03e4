"""Which adapter serves whom, remembered for a moment: the answer to nearly every request is the one before's."""

from __future__ import annotations

import time

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from app.db.session import reading
from app.http.security import Principal
from app.inference.queries import Served, served_adapter

SECONDS = 2.0
"""How long a deleted adapter may still answer, and at most a promotion goes unheard: the api hears of promotions at once, if not before."""
_MOST = 1000
_Key = tuple[str | None, str | None, str | None]


class RememberedAdapters:
    """What `served_adapter` found. What it refused is asked anew each time. Belongs to one event loop."""

    def __init__(self) -> None:
        self._found: dict[_Key, tuple[float, Served]] = {}

    async def served(self, caller: Principal, adapter: str | None, corpus: str | None) -> Served:
        """As `served_adapter`, with its errors. Callers with keys of the same reach see the same."""
        key = (adapter, corpus, caller.corpus_id)
        known = self._found.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]

        def look() -> Served:
            with reading() as session:
                return served_adapter(session, caller, adapter, corpus)

        found = await run_in_threadpool(look)
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[key] = (time.monotonic() + SECONDS, found)
        return found

    def forget(self) -> None:
        """Ask the database again: an adapter was promoted."""
        self._found.clear()


async def remembered_of(request: Request) -> RememberedAdapters:
    """Those of the app that serves a request, as a dependency."""
    remembered: RememberedAdapters = request.app.state.served
    return remembered
