"""Signs of life of a child: a small file with a counter that only its work moves, apart from the lease that its supervisor renews."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

FILE = "heartbeat"
RECORD = 512
"""Bytes of the file, always the same: it is overwritten in place, which also works on a full disk."""
WRITE_SECONDS = 0.2
"""Beats that follow faster are counted, not written."""
_LONGEST_STAGE = 120


@dataclass(frozen=True, slots=True)
class Beat:
    """What the file says. count: beats so far, growing only; longest_seconds: the longest pause between two of them."""

    count: int
    stage: str
    longest_seconds: float


class Heartbeat:
    """The child's side. Beats are what it does between two steps; a thread of its own would beat for a process that hangs."""

    def __init__(self, folder: Path, fence: int) -> None:
        """Begin the file of this attempt, replacing that of an earlier one."""
        self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        self._fence = fence
        self._count = 0
        self._stage = ""
        self._longest = 0.0
        self._beat_at = time.monotonic()
        self._written_at = float("-inf")
        self.beat()

    def beat(self, stage: str | None = None) -> None:
        """Count a step; `stage` names what is done now."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._beat_at)
        self._beat_at = now
        self._count += 1
        moved_on = stage is not None and stage != self._stage
        if stage is not None:
            self._stage = stage[:_LONGEST_STAGE]
        if moved_on or now - self._written_at >= WRITE_SECONDS:
            self._written_at = now
            self._write()

    def _write(self) -> None:
        said = {"fence": self._fence, "count": self._count, "stage": self._stage, "longest": self._longest}
        os.pwrite(self._file, json.dumps(said).encode()[:RECORD].ljust(RECORD), 0)


def read_beat(folder: Path, fence: int) -> Beat | None:
    """The last beat that the attempt with this fence has written; None before its first."""
    try:
        said = json.loads((folder / FILE).read_bytes())
        if said["fence"] != fence:
            return None
        return Beat(said["count"], said["stage"], said["longest"])
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or in the middle of being written
        return None


def allowed_silence(longest_seconds: float, *, floor: float, factor: float) -> float:
    """Seconds without a beat after which a child counts as stuck: `factor` times its longest step so far, at least `floor`."""
    return max(floor, factor * longest_seconds)
