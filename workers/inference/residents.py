"""Adapters in memory: loaded on first use off the engine's thread, the least recently used given up when memory runs short."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, Protocol, TypeVar


class Resident(Protocol):
    """Something loaded that takes memory."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Resident)


class Residents(Generic[T]):
    """Loaded adapters by blob digest. Belongs to one event loop; only `load` runs elsewhere.

    Requests in flight hold what they use, so giving one up never harms them.
    """

    def __init__(self, load: Callable[[str], T], limit: int, executor: Executor) -> None:
        """Args:
        load: loads the adapter with a blob digest, or raises; runs in `executor`.
        limit: bytes that may stay loaded; one adapter always may.
        executor: one thread, so that adapters are loaded one after another.
        """
        self._load = load
        self._limit = limit
        self._executor = executor
        self._ready: OrderedDict[str, T] = OrderedDict()
        self._loading: dict[str, asyncio.Task[T]] = {}

    @property
    def size(self) -> int:
        """Bytes of all loaded adapters."""
        return sum(resident.size for resident in self._ready.values())

    @property
    def digests(self) -> tuple[str, ...]:
        """Loaded adapters, least recently used first."""
        return tuple(self._ready)

    async def get(self, digest: str) -> T:
        """The adapter, loaded if need be; several callers wait for one load. Raises what loading raises, to each of them."""
        ready = self._ready.get(digest)
        if ready is not None:
            self._ready.move_to_end(digest)
            return ready
        task = self._loading.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest))
            self._loading[digest] = task
            task.add_done_callback(lambda done: self._loaded(digest, done))
        return await asyncio.shield(task)  # one caller going away must not end the load that others wait for

    async def _fetch(self, digest: str) -> T:
        resident = await asyncio.get_running_loop().run_in_executor(self._executor, self._load, digest)
        self._ready[digest] = resident
        while self.size > self._limit and len(self._ready) > 1:
            self._ready.popitem(last=False)
        return resident

    def _loaded(self, digest: str, task: asyncio.Task[T]) -> None:
        self._loading.pop(digest, None)
        if not task.cancelled():
            task.exception()  # heard, so that a failed load nobody waits for any more is no warning
