"""How a child process hears that it should stop: a line on stdin, SIGTERM, or the death of its supervisor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import IO, Literal

StopReason = Literal["cancel", "pause", "shutdown"]
REASONS: tuple[StopReason, ...] = ("cancel", "pause", "shutdown")
EXIT_ORPHANED = 77


class StopFlag:
    """Set by the supervisor, read by the job between two steps."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._reason: StopReason = "shutdown"

    def stop(self, reason: StopReason | None = None) -> None:
        """Ask the job to stop; a reason given in words is kept over a bare signal."""
        if reason is not None:
            self._reason = reason
        self._set.set()

    def reason(self) -> StopReason | None:
        """Why to stop, or None."""
        return self._reason if self._set.is_set() else None


def watch_supervisor(flag: StopFlag) -> None:
    """Set `flag` on SIGTERM or on a line `cancel`, `pause` or `shutdown`; end this process when stdin closes (the supervisor died)."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: flag.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_read, args=(sys.stdin, flag), name="supervisor-watch", daemon=True).start()


def _read(lines: IO[str], flag: StopFlag) -> None:
    for line in lines:
        for reason in REASONS:
            if line.strip() == reason:
                flag.stop(reason)
    os._exit(EXIT_ORPHANED)
