"""Adapters in memory: loaded on first use off the engine's thread, the least recently used given up when memory runs short."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Resident(Protocol):
    """Something loaded that takes memory."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Resident)


@dataclass(slots=True)
class Comings:
    """How often adapters came and went, for metrics."""

    loads: int = 0
    failures: int = 0
    evictions: int = 0
    load_seconds: float = 0.0
    """Of all loads together."""


class Residents(Generic[T]):
    """Loaded adapters by blob digest. Belongs to one event loop; only `load` runs elsewhere.

    Requests in flight hold what they use, so giving one up never harms them; its memory is free when the last has its answer.
    """

    def __init__(self, load: Callable[[str], T], limit: int, executor: Executor) -> None:
        """Args:
        load: loads the adapter with a blob digest, or raises; runs in `executor`, for several adapters at once.
        limit: bytes that may stay loaded; one adapter always may.
        executor: its threads are the adapters that load at once: nobody waits for another's load until all are taken.
        """
        self._load = load
        self._limit = limit
        self._executor = executor
        self._ready: OrderedDict[str, T] = OrderedDict()
        self._loading: dict[str, asyncio.Task[T]] = {}
        self._pinned: set[str] = set()
        self.comings = Comings()

    @property
    def size(self) -> int:
        """Bytes of all loaded adapters."""
        return sum(resident.size for resident in self._ready.values())

    @property
    def digests(self) -> tuple[str, ...]:
        """Loaded adapters, least recently used first."""
        return tuple(self._ready)

    @property
    def pinned(self) -> tuple[str, ...]:
        """Those of them that are given up last."""
        return tuple(digest for digest in self._ready if digest in self._pinned)

    async def get(self, digest: str, pin: bool = False) -> T:
        """The adapter, loaded if need be; several callers wait for one load. Raises what loading raises, to each of them.

        Args:
            digest: of its blob.
            pin: given up only when all that are not pinned are, and then the one unused for longest.
        """
        if pin:
            self._pinned.add(digest)
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
        began = time.perf_counter()
        resident = await asyncio.get_running_loop().run_in_executor(self._executor, self._load, digest)
        self.comings.loads += 1
        self.comings.load_seconds += time.perf_counter() - began
        self._ready[digest] = resident
        self._make_room(digest)
        return resident

    def _make_room(self, newest: str) -> None:
        size = self.size
        others = [digest for digest in self._ready if digest != newest]
        for digest in sorted(
            others, key=lambda digest: digest in self._pinned
        ):  # each kind unused for longest first
            if size <= self._limit:
                return
            size -= self._ready.pop(digest).size
            self._pinned.discard(digest)
            self.comings.evictions += 1

    def _loaded(self, digest: str, task: asyncio.Task[T]) -> None:
        self._loading.pop(digest, None)
        if task.cancelled():
            return
        if (
            task.exception() is not None
        ):  # heard, so that a failed load nobody waits for any more is no warning
            self.comings.failures += 1
            self._pinned.discard(digest)
