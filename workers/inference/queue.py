"""The worker's queue: two lanes, counted in tokens, refusing in time with an honest guess of when to come back."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from workers.inference.batching import choose_batch
from workers.inference.work import Lane, Runner, Window, Work

LOOKAHEAD = 512
"""Windows of one runner among which a batch looks for like lengths."""
BULK_SHARE = 0.75
"""Share of the queue that bulk requests may fill; the rest is kept for people who wait."""
_ASSUMED_SPEED = 2_000.0
"""Tokens per second believed in before anything was measured."""
_SMOOTHING = 0.1


class QueueFullError(Exception):
    """The queue has no room for a request; `retry_after` seconds from now it should."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full; room is expected in {retry_after:.1f} s")
        self.retry_after = retry_after


class QueueClosedError(Exception):
    """The engine has stopped: nothing more is computed by this worker."""


@dataclass(slots=True, eq=False)
class Admission:
    """Room kept for a request while it is being tokenized."""

    lane: Lane
    tokens: int


@dataclass(slots=True)
class _Waiting:
    """Windows of one runner in one lane, in order of arrival."""

    windows: deque[tuple[int, Window]] = field(default_factory=deque)


class LaneQueue:
    """Thread-safe. Handlers admit and put; the engine takes batches and reports what it did."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._condition = threading.Condition()
        self._lanes: dict[Lane, dict[Runner, _Waiting]] = {lane: {} for lane in Lane}
        self._tokens = dict.fromkeys(Lane, 0)
        self._works: set[Work] = set()
        self._arrivals = itertools.count()
        self._closed: BaseException | None = None
        self._speed = _ASSUMED_SPEED

    @property
    def queued_tokens(self) -> int:
        """Tokens waiting, being tokenized or being computed."""
        return sum(self._tokens.values())

    @property
    def tokens_per_second(self) -> float:
        """Measured speed of the engine, smoothed."""
        return self._speed

    def lane_tokens(self, lane: Lane) -> int:
        """Queued tokens of one lane."""
        return self._tokens[lane]

    def admit(self, lane: Lane, estimate: int) -> Admission:
        """Keep room for about `estimate` tokens. A request larger than the queue is taken when its lane is empty.

        Raises:
            QueueFullError: no room; says when to come back.
            QueueClosedError: the engine has stopped.
        """
        limit = int(self._limit * BULK_SHARE) if lane is Lane.BULK else self._limit
        with self._condition:
            self._refuse_when_closed()
            ahead = self._tokens[lane] if lane is Lane.BULK else self.queued_tokens
            if self._tokens[lane] and ahead + estimate > limit:
                surplus = min(ahead, ahead + estimate - limit)
                raise QueueFullError(max(0.1, surplus / self._speed))
            self._tokens[lane] += estimate
        return Admission(lane, estimate)

    def release(self, admission: Admission) -> None:
        """Give back room that no request will use."""
        with self._condition:
            self._tokens[admission.lane] -= admission.tokens
            admission.tokens = 0

    def put(self, admission: Admission, work: Work, windows: Sequence[Window]) -> None:
        """Queue a request in the room kept for it; QueueClosedError when the engine has stopped meanwhile."""
        with self._condition:
            self._tokens[admission.lane] += work.tokens - admission.tokens
            admission.tokens = 0
            work.waiting_tokens = work.tokens
            if self._closed is not None:
                self._forget(work)
                self._refuse_when_closed()
            self._works.add(work)
            waiting = self._lanes[work.lane].setdefault(work.runner, _Waiting())
            waiting.windows.extend((next(self._arrivals), window) for window in windows)
            self._condition.notify_all()

    def drop(self, work: Work) -> None:
        """Take a request whose caller has gone out of the count; its windows are skipped when their turn comes."""
        with self._condition:
            work.future.cancel()
            self._forget(work)

    def take(self, budget: int, timeout: float | None = None) -> list[Window]:
        """The next batch, oldest interactive request first; waits for one. Empty after `timeout` seconds or when closed."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while self._closed is None:
                for lane in Lane:
                    batch = self._next_of(lane, budget)
                    if batch:
                        return batch
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._condition.wait(left)
            return []

    def done(self, windows: Sequence[Window], seconds: float) -> None:
        """Count a batch's tokens as computed and learn the engine's speed from them."""
        tokens = sum(window.tokens for window in windows)
        with self._condition:
            if seconds > 0 and tokens:
                self._speed += _SMOOTHING * (tokens / seconds - self._speed)
            for window in windows:
                self._count_off(window.request, window.tokens)
                if window.request.remaining <= 0:
                    self._works.discard(window.request)

    def close(self, error: BaseException) -> None:
        """Stop: every waiting request fails with `error` at once, and later ones are refused."""
        with self._condition:
            self._closed = error
            works = list(self._works)
            for work in works:
                self._forget(work)
            self._lanes = {lane: {} for lane in Lane}
            self._condition.notify_all()
        for work in works:
            if not work.future.done():
                work.fail(error)

    def _refuse_when_closed(self) -> None:
        if self._closed is not None:
            raise QueueClosedError("the engine has stopped") from self._closed

    def _forget(self, work: Work) -> None:
        self._count_off(work, work.waiting_tokens)
        self._works.discard(work)

    def _count_off(self, work: Work, tokens: int) -> None:
        counted = min(tokens, work.waiting_tokens)
        work.waiting_tokens -= counted
        self._tokens[work.lane] -= counted

    def _next_of(self, lane: Lane, budget: int) -> list[Window]:
        runners = self._lanes[lane]
        for runner in list(runners):
            waiting = runners[runner].windows
            while waiting and waiting[0][1].request.dropped:
                waiting.popleft()
            if not waiting:
                del runners[runner]
        if not runners:
            return []
        oldest = min(runners.values(), key=lambda waiting: waiting.windows[0][0]).windows
        seen = [oldest.popleft() for _ in range(min(LOOKAHEAD, len(oldest)))]
        seen = [entry for entry in seen if not entry[1].request.dropped]
        chosen = set(choose_batch([window.tokens for _, window in seen], budget))
        oldest.extendleft(entry for place, entry in reversed(list(enumerate(seen))) if place not in chosen)
        return [seen[place][1] for place in sorted(chosen)]
