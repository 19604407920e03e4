"""Reading Server-Sent Events in tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def frames(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Frames that carry an event; `data` is parsed."""
    frame: dict[str, Any] = {}
    for line in lines:
        if not line:
            if "event" in frame:
                yield frame
            frame = {}
        elif not line.startswith(":"):
            key, _, value = line.partition(": ")
            frame[key] = json.loads(value) if key == "data" else value
