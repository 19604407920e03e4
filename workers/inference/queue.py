"""The worker's queue: two lanes, counted in tokens, refusing in time with an honest guess of when to come back."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from workers.inference.batching import choose_batch, choose_flat
from workers.inference.work import Lane, LateError, Runner, Window, Work

LOOKAHEAD = 512
"""Windows of one company among which a padded batch looks for like lengths."""
SLICE_SECONDS = 0.05
"""How long a bulk batch may take while people use the worker: what they wait for at most before their turn."""
LEAST_SLICE = 256
"""Tokens of the smallest such batch: smaller ones cost more than they save."""
PRESENCE_SECONDS = 10.0
"""After the last interactive request, how long people count as using the worker."""
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


Waiting = deque[Window]
"""Windows of one runner in one lane, in order of arrival."""


class LaneQueue:
    """Thread-safe. Handlers admit and put; the engine takes batches and reports what it did."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
        limit: tokens that may wait.
        clock: seconds.
        """
        self._limit = limit
        self._clock = clock
        self._last_interactive = -math.inf
        self._most: int | None = None
        self._condition = threading.Condition()
        self._lanes: dict[Lane, dict[Runner, Waiting]] = {lane: {} for lane in Lane}
        self._tokens = dict.fromkeys(Lane, 0)
        self._works: set[Work] = set()
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

    @property
    def seconds(self) -> float:
        """What all that is queued should take at the measured speed."""
        return self.queued_tokens / self._speed

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
            if work.lane is Lane.INTERACTIVE:
                self._last_interactive = self._clock()
            self._lanes[work.lane].setdefault(work.runner, deque()).extend(windows)
            self._condition.notify_all()

    def drop(self, work: Work) -> None:
        """Take a request whose caller has gone out of the count; its windows are skipped when their turn comes."""
        with self._condition:
            work.future.cancel()
            self._forget(work)

    def take(self, budget: int, timeout: float | None = None) -> list[Window]:
        """The next batch, interactive lane first, the runners of a lane in turn; waits for one. Empty after `timeout` seconds or when closed.

        Args:
            budget: tokens of a batch of runners that have no batching of their own, padding included.
            timeout: seconds; None: none.
        """
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

    def too_large(self, tokens: int) -> None:
        """Note that so many tokens did not fit into the device's memory: later batches are smaller."""
        with self._condition:
            self._most = min(self._most or tokens, max(1, tokens // 2))

    def done(self, windows: Sequence[Window], seconds: float) -> None:
        """Count a batch's tokens as computed and learn the engine's speed from them."""
        tokens = sum(window.tokens for window in windows)
        with self._condition:
            if seconds > 0 and tokens:
                self._speed += _SMOOTHING * (tokens / seconds - self._speed)
            for window in windows:
                self._count_off(window.request, window.tokens)

    def settled(self, windows: Sequence[Window]) -> None:
        """Forget the requests among a batch's that have all their results."""
        with self._condition:
            self._works -= {window.request for window in windows if window.request.remaining <= 0}

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
        now = self._clock()
        for runner in list(runners):
            waiting = runners[runner]
            while waiting and self._passed(waiting[0].request, now):
                waiting.popleft()
            if not waiting:
                del runners[runner]
        if not runners:
            return []
        runner = next(iter(runners))
        runners[runner] = runners.pop(runner)  # to the end: each runner in turn
        own = runner.batching
        room = self._slice(lane, own.tokens if own else budget)
        flat = own is not None and own.flat
        seen: list[Window] = []
        tokens = 0
        mates = [mate for mate in runners if mate is not runner and mate.company == runner.company]
        for waiting in (runners[mate] for mate in (runner, *mates)):
            while waiting and (tokens < room if flat else len(seen) < LOOKAHEAD):
                window = waiting.popleft()
                if not self._passed(window.request, now):
                    seen.append(window)
                    tokens += window.tokens
        return _chosen(seen, runners, room, flat)

    def _slice(self, lane: Lane, budget: int) -> int:
        """Tokens of the next batch: bulk ones are short while people use the worker."""
        most = budget if self._most is None else min(budget, self._most)
        if lane is not Lane.BULK or self._clock() - self._last_interactive > PRESENCE_SECONDS:
            return most
        return min(most, max(LEAST_SLICE, int(self._speed * SLICE_SECONDS)))

    def _passed(self, work: Work, now: float) -> bool:
        """Whether nobody waits for a request any more; one that came too late for its turn hears so."""
        if not work.future.done() and work.late(now):
            self._forget(work)
            work.fail(LateError(self.seconds))
        return work.future.done()


def _chosen(seen: list[Window], runners: Mapping[Runner, Waiting], budget: int, flat: bool) -> list[Window]:
    """Those of some windows that make the next batch; the others wait on, in order."""
    lengths = [window.tokens for window in seen]
    chosen = set(range(choose_flat(lengths, budget)) if flat else choose_batch(lengths, budget))
    for place in reversed(range(len(seen))):
        if place not in chosen:
            runners[seen[place].request.runner].appendleft(seen[place])
    return [seen[place] for place in sorted(chosen)]
