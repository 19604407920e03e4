"""Tasks whose end nobody may be waiting for."""

from __future__ import annotations

import asyncio
from typing import Any


def heard(task: asyncio.Task[Any]) -> None:
    """Takes note of how a task ended: asyncio complains of exceptions that nobody has asked for."""
    if not task.cancelled():
        task.exception()
