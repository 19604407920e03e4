"""Whether a job is slow: its measured pace beside the expected one. Slow is told, never ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

SLOW_FACTOR = 3.0
"""A job that is so many times slower than expected is called slow."""
_KEPT = 21
_LEAST = 3
_LEAST_SECONDS = 0.05


@dataclass(slots=True)
class Pace:
    """The pace of `done`, as the median over the last stretches in which it grew.

    A median, because a stretch may hold other work (baselines are fitted between epochs), which says nothing of the steps.
    """

    expected: float | None = None
    """Units per second; None while nothing is known."""
    _last: tuple[float, float] | None = None
    _paces: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def told(self, done: float | None, now: float) -> dict[str, Any]:
        """Take how far the job is, and give the members of its progress that speak of pace.

        Args:
            done: units done so far.
            now: seconds on a monotonic clock.
        """
        if done is None:
            return {}
        if self._last is not None:
            seconds, units = now - self._last[0], done - self._last[1]
            if seconds < _LEAST_SECONDS:
                return self._words()
            if units > 0:
                self._paces.append(units / seconds)
        self._last = (now, done)
        return self._words()

    def _words(self) -> dict[str, Any]:
        if self.expected is None or self.expected <= 0 or len(self._paces) < _LEAST:
            return {}
        pace = median(self._paces)
        said = {"per_second": round(pace, 2), "expected_per_second": round(self.expected, 2)}
        return said | ({"slow": True} if pace * SLOW_FACTOR < self.expected else {})
