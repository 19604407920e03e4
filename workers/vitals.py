"""What a supervisor sees of its child from outside: memory, signs of life, and what became of both."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings
from workers import host_memory
from workers.heartbeat import allowed_silence, read_beat
from workers.host_memory import Sample

LOOK_SECONDS = 1.0
START_SECONDS = 120.0
"""A child may need so long for its first beat, whatever the settings say: it loads libraries."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A child that gives no sign of life any more."""

    stage: str
    """What it did last; empty before its first beat."""
    seconds: float
    allowed_seconds: float
    beats: int


class Vitals:
    """Looks at one child, at most once a second."""

    def __init__(self, pid: int, folder: Path, fence: int, settings: Settings, *, watched: bool) -> None:
        """watched: whether the child beats, as trainers do."""
        self._pid, self._folder, self._fence, self._settings = pid, folder, fence, settings
        self._watched = watched
        self._cgroup = host_memory.cgroup_folder()
        self._kills = host_memory.oom_kills(self._cgroup)
        self._looked_at = float("-inf")
        self._beats, self._stage, self._longest = 0, "", 0.0
        self._moved_at = time.monotonic()
        self.last: Sample | None = None
        self.peak = 0

    def look(self) -> None:
        """Sample the memory and read the heartbeat."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        taken = host_memory.sample(self._pid)
        if taken is not None:
            self.last, self.peak = taken, max(self.peak, taken.taken)
        beat = read_beat(self._folder, self._fence) if self._watched else None
        if beat is not None and beat.count != self._beats:
            self._beats, self._stage, self._longest = beat.count, beat.stage, beat.longest_seconds
            self._moved_at = now

    def seen(self) -> dict[str, Any]:
        """What goes into the job's progress."""
        if self.last is None:
            return {}
        return {"memory_bytes": self.last.taken, "peak_memory_bytes": self.peak}

    def silence(self) -> Silence | None:
        """How long a watched child has been silent, once that is longer than its steps explain."""
        if not self._watched:
            return None
        seconds = time.monotonic() - self._moved_at
        floor = (
            self._settings.stuck_seconds if self._beats else max(START_SECONDS, self._settings.stuck_seconds)
        )
        allowed = allowed_silence(self._longest, floor=floor, factor=self._settings.stuck_factor)
        return Silence(self._stage, seconds, allowed, self._beats) if seconds > allowed else None

    @property
    def limit_bytes(self) -> int:
        """What the child may take."""
        return host_memory.limit(self._cgroup)

    def starved(self) -> bool:
        """Whether a child that SIGKILL ended was killed for memory."""
        kills = host_memory.oom_kills(self._cgroup) - self._kills
        return host_memory.starved(kills=kills, last=self.last, limit_bytes=self.limit_bytes)
