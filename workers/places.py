"""How many jobs of a kind one jobs worker runs at once: a job that waits for other jobs must not take the threads that run those."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.jobs.kinds import KINDS, Kind

_PLACES = {
    kind.name: threading.Semaphore(kind.at_once) for kind in KINDS.values() if kind.at_once is not None
}


@contextmanager
def place_for(kind: Kind) -> Iterator[bool]:
    """Whether there is a place for one more job of this kind until the block ends; the dispatcher rings again for whoever finds none."""
    places = _PLACES.get(kind.name)
    if places is None:
        yield True
        return
    taken = places.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            places.release()
