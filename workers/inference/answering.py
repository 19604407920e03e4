"""What every route of the worker shares: the token, errors as JSON, and the time that was taken."""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from workers.inference.engine import EngineBrokenError, EngineStoppedError
from workers.inference.explain import ExplanationAbandonedError
from workers.inference.metrics import Metrics
from workers.inference.queue import QueueClosedError, QueueFullError
from workers.inference.service import CallerGoneError
from workers.inference.summaries import TooManySentencesError
from workers.inference.wire import FAILED_HEADER, TIMING, BadRequestError
from workers.inference.work import LateError

log = structlog.get_logger()

CLIENT_GONE = 499
Handler = Callable[[Request], Awaitable[Response]]


def json_answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(document), status, headers, "application/json")


def _error(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"code": code, "detail": detail}, status, headers)


def _come_back(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


async def caller_gone(request: Request) -> None:
    """Wait until whoever sent a request has gone; for handlers that have read its body."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def guarded(path: str, handler: Handler, metrics: Metrics, token: str) -> Handler:
    """A handler behind the token, with its errors as JSON, its time told and counted."""

    async def answered(request: Request) -> Response:
        began = time.perf_counter()
        sent = request.headers.get("authorization", "").encode()  # as bytes: any character may be sent
        if token and not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            response = _error(401, "unauthorized", "send REMAND_INFERENCE_TOKEN as a bearer token")
        else:
            response = await _answer_of(handler, request, metrics)
        seconds = time.perf_counter() - began
        if TIMING in response.headers:
            response.headers[TIMING] += f", total;dur={seconds * 1000:.2f}"
        metrics.requests.labels(path, str(response.status_code)).inc()
        metrics.seconds.labels(path).observe(seconds)
        metrics.failed_texts.inc(
            len(response.headers.get(FAILED_HEADER, "").split(","))
            if FAILED_HEADER in response.headers
            else 0
        )
        return response

    return answered


async def _answer_of(handler: Handler, request: Request, metrics: Metrics) -> Response:
    try:
        return await handler(request)
    except (CallerGoneError, ExplanationAbandonedError):
        return Response(status_code=CLIENT_GONE)
    except QueueFullError as error:
        return _error(503, "queue-full", str(error), _come_back(error.retry_after))
    except LateError as error:
        metrics.late.inc()
        return _error(503, "late", str(error), _come_back(error.retry_after))
    except Exception as error:
        for kinds, status, code in _ERRORS:
            if isinstance(error, kinds):
                return _error(status, getattr(error, "code", code), str(error))
        log.exception("request failed", error=type(error).__name__)
        return _error(500, "unexpected", f"the worker failed ({type(error).__name__}); its log says more")


_ERRORS: tuple[tuple[tuple[type[Exception], ...], int, str], ...] = (
    ((BadRequestError,), 422, "invalid"),
    ((QueueClosedError, EngineStoppedError, EngineBrokenError), 503, "engine-stopped"),
    ((FileNotFoundError,), 404, "adapter-missing"),
    ((TooManySentencesError,), 413, "too-many-sentences"),
    ((LookupError, ValueError), 422, "cannot-load"),
)
"""What a handler may raise, the status it answers with, and its code unless the error has one."""
