"""Request ids, structured logs without text content, and Prometheus metrics (several processes too)."""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
from collections.abc import Iterable

import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.answers import answer_for
from app.http.timing import with_own_time
from app.logs import configure_structlog

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS = Histogram(
    "remand_http_request_seconds",
    "Time until the answer's last byte.",
    ["method", "route", "status"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_ERRORS = Counter("remand_http_errors_total", "Unexpected errors (status 500).", ["route"])
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def configure_logging() -> None:
    """Send structlog and the standard library's loggers through one renderer; access lines of uvicorn are silenced: they hold query strings."""
    configure_structlog(cache_logger_on_first_use=False)
    logging.getLogger("uvicorn.access").disabled = True


class Telemetry:
    """ASGI middleware: a request id in, on the answer and on every log line; one log line and one measurement a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger("remand.http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Measure one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status, began = None, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = with_own_time(scope, message.get("headers", ()), time.perf_counter() - began)
                message["headers"] = _completed(headers, request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, sending)
            except Exception as error:  # noqa: BLE001  # the last place that can answer; the place of the error is logged
                answer = answer_for(error)
                if status is None:
                    await answer(scope, receive, sending)
            finally:
                self._measure(scope, status or 500, time.perf_counter() - began)

    def _measure(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = str(getattr(scope.get("route"), "path", "unmatched"))
        _SECONDS.labels(method, route, str(status)).observe(seconds)
        if status >= 500:
            _ERRORS.labels(route).inc()
        # The template of the route, never the path itself: paths and queries may quote what a caller searches for.
        self._log.info(
            "request", method=method, route=route, status=status, milliseconds=round(seconds * 1000, 2)
        )


def metrics_page() -> tuple[bytes, str]:
    """The metrics of this process, or of all api processes when PROMETHEUS_MULTIPROC_DIR is set; body and media type."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


def _completed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    found = [*headers, (b"x-request-id", request_id.encode())]
    if all(name.lower() != b"x-content-type-options" for name, _ in found):
        # Nobody may guess that an answer is a page: it may quote what somebody wrote.
        found.append((b"x-content-type-options", b"nosniff"))
    return found


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = str(value.decode("latin-1"))
            if _REQUEST_ID.fullmatch(given):
                return given
    return secrets.token_hex(8)
