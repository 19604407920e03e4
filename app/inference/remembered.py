"""Which adapter serves whom, remembered for a moment: the answer to nearly every request is the one before's."""

from __future__ import annotations

from fastapi import Request

from app.db.session import reading
from app.http.remembered import Remembered
from app.http.security import Principal
from app.inference.queries import Served, served_adapter

SECONDS = 2.0
"""How long a deleted adapter may still answer, and at most a promotion goes unheard: the api hears of promotions at once, if not before."""
_Key = tuple[str | None, str | None, str | None]


class RememberedAdapters:
    """What `served_adapter` found. What it refused is asked anew each time. Belongs to one event loop."""

    def __init__(self) -> None:
        self.known: Remembered[_Key, Served] = Remembered(SECONDS)

    async def served(self, caller: Principal, adapter: str | None, corpus: str | None) -> Served:
        """As `served_adapter`, with its errors. Callers with keys of the same reach see the same."""

        def look() -> Served:
            with reading() as session:
                return served_adapter(session, caller, adapter, corpus)

        found = await self.known.get((adapter, corpus, caller.corpus_id), look)
        assert found is not None
        return found

    def forget(self) -> None:
        """Ask the database again: an adapter was promoted."""
        self.known.forget()


async def remembered_of(request: Request) -> RememberedAdapters:
    """Those of the app that serves a request, as a dependency."""
    remembered: RememberedAdapters = request.app.state.served
    return remembered
