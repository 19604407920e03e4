"""Server-Timing of requests that wait for another server: its stages, the way there and back, and the api's own time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable, MutableMapping
from typing import Any

import httpx
from fastapi import Request

TIMING = "Server-Timing"
_WAITED = "waited_seconds"


async def timed(request: Request, asking: Awaitable[httpx.Response]) -> tuple[httpx.Response, str]:
    """An answer, and its Server-Timing with `transport`: what of the waiting was not the other server's `total`."""
    began = time.perf_counter()
    answer = await asking
    waited = time.perf_counter() - began
    setattr(request.state, _WAITED, getattr(request.state, _WAITED, 0.0) + waited)
    header = answer.headers.get(TIMING, "")
    total = stage(header, "total")
    return (
        answer,
        header if total is None else f"{header}, {entry('transport', max(0.0, waited * 1000 - total))}",
    )


def with_own_time(
    scope: MutableMapping[str, Any], headers: Iterable[tuple[bytes, bytes]], seconds: float
) -> list[tuple[bytes, bytes]]:
    """The headers with `api` added to their Server-Timing: the time of a request, `seconds`, without what it waited for others."""
    waited = scope.get("state", {}).get(_WAITED)
    if waited is None:
        return list(headers)
    own = entry("api", max(0.0, seconds - waited) * 1000).encode()
    name = TIMING.lower().encode()
    return [(key, value + b", " + own if key.lower() == name and value else value) for key, value in headers]


def entry(name: str, milliseconds: float) -> str:
    """One stage."""
    return f"{name};dur={milliseconds:.2f}"


def stage(header: str, name: str) -> float | None:
    """A stage's milliseconds in a Server-Timing value; None where it is not told."""
    for part in header.split(","):
        key, _, duration = part.strip().partition(";dur=")
        if key == name:
            return float(duration)
    return None
