"""What a train job tells while it runs: events, and tokens done out of all it will read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from models.training.errors import TrainingStoppedError

Event = dict[str, Any]
_INTERVAL = 0.5
"""Seconds between progress events at least."""


@dataclass(slots=True)
class Progress:
    """Counts tokens over all stages of a job and emits events."""

    emit: Callable[[Event], None]
    should_stop: Callable[[], bool]
    total: int = 0
    done: int = 0
    stage: str = "reading"
    last: float = field(default=float("-inf"))

    def event(self, name: str, **details: Any) -> None:
        """Emit an event."""
        self.emit({"event": name, **details})

    def enter(self, stage: str) -> None:
        """Begin a stage; raises TrainingStoppedError where the job shall stop."""
        self.check_stop()
        self.stage = stage
        self.tell(force=True)

    def at(self, tokens: int) -> None:
        """Set the tokens done so far."""
        self.done = min(tokens, self.total)
        self.tell()

    def add(self, tokens: int) -> None:
        """Count more tokens as done."""
        self.at(self.done + tokens)

    def tell(self, force: bool = False) -> None:
        """Emit a progress event, not too often."""
        now = time.monotonic()
        if force or now - self.last >= _INTERVAL:
            self.last = now
            self.event("progress", stage=self.stage, done=self.done, total=self.total)

    def check_stop(self) -> None:
        """Raise TrainingStoppedError where the job shall stop."""
        if self.should_stop():
            raise TrainingStoppedError(f"stopped at stage {self.stage!r}; the same call resumes it")
