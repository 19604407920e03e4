"""Answers of the database remembered for a moment, and asked for anew before they are too old, so that no request of many waits for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool

from app.background import heard

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_FRESH_SHARE = 0.5
"""Of the time that an answer holds, after which the next who asks has it asked for anew, without waiting."""
_MOST = 10_000


@dataclass(slots=True)
class _Known(Generic[V]):
    value: V
    until: float
    """Of `time.monotonic`."""
    asked: asyncio.Task[V | None] | None = None
    """The question under way that will follow it."""


class Remembered(Generic[K, V]):
    """What was found by key. What raised, and None, is not remembered."""

    def __init__(self, seconds: float) -> None:
        """Seconds: how old an answer may be."""
        self._seconds = seconds
        self._known: dict[K, _Known[V]] = {}

    async def get(self, key: K, look: Callable[[], V | None]) -> V | None:
        """The answer that is known, else what `look` finds, in a thread; raises what it raises."""
        known = self._known.get(key)
        now = time.monotonic()
        if known is None or known.until <= now:
            return await self._look(key, look, known)
        if known.asked is None and known.until - now < self._seconds * (1 - _FRESH_SHARE):
            known.asked = asyncio.ensure_future(self._look(key, look, known))
            known.asked.add_done_callback(heard)  # who asks next will be told what was wrong
        return known.value

    def forget(self) -> None:
        """Know nothing any more; what is being looked up at this moment is not remembered either."""
        self._known = {}

    async def _look(self, key: K, look: Callable[[], V | None], before: _Known[V] | None) -> V | None:
        known, until = self._known, time.monotonic() + self._seconds
        found = None
        try:
            found = await run_in_threadpool(look)
        finally:
            if found is None and known.get(key) is before:
                known.pop(key, None)
        if found is not None:
            if len(known) >= _MOST:
                known.clear()
            known[key] = _Known(found, until)
        return found
