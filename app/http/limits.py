"""Limits on requests before any handler sees them: body size (chunked too), and paths that are not valid UTF-8."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.answers import problem_response
from app.http.problems import Invalid, Problem, TooLarge
from app.http.security import authenticate
from app.settings import get_settings

UPLOADS = re.compile(r"/(corpora/[^/]+/imports|adapters|document-sets)/?")
"""POST paths whose body is a file that is streamed to the blob store."""


class RequestLimits:
    """ASGI middleware: answers 413 for a body over its limit, however it is sent, 422 for a path that no text can hold, 401 for an upload by nobody."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check what is known at once, then count the body as it arrives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit(scope)
        try:
            _check_address(scope)
            _check_announced(scope, limit)
            if _is_upload(scope):
                # FastAPI reads a form before it looks at dependencies: nobody unknown fills the disk meanwhile.
                await authenticate(Request(scope))
        except Problem as problem:
            await problem_response(problem)(scope, receive, send)
            return
        await _counted(self._app, scope, receive, send, limit)


async def _counted(app: ASGIApp, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
    seen, started, exceeded = 0, False, False

    async def counting() -> Message:
        nonlocal seen, exceeded
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                exceeded = True
                # Whatever reads the body stops here, as if the client had gone; the 413 is sent below.
                return {"type": "http.disconnect"}
        return message

    async def sending(message: Message) -> None:
        nonlocal started
        if exceeded and not started:
            return
        started = True
        await send(message)

    try:
        await app(scope, counting, sending)
    except Exception:
        if not exceeded or started:
            raise
    if exceeded and not started:
        await problem_response(_too_large(limit))(scope, receive, send)


def _limit(scope: Scope) -> int:
    settings = get_settings()
    return settings.max_upload_bytes if _is_upload(scope) else settings.max_body_bytes


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and UPLOADS.fullmatch(scope["path"]) is not None


def _check_announced(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)


def _check_address(scope: Scope) -> None:
    for part, raw in (("path", scope.get("raw_path") or b""), ("query", scope.get("query_string") or b"")):
        for piece in raw.split(b"&"):
            plain = unquote_to_bytes(piece.replace(b"+", b" "))
            name = plain.split(b"=", 1)[0].decode("ascii", "replace") if part == "query" else "path"
            try:
                plain.decode()
            except UnicodeDecodeError:
                raise Invalid(f"The {part} is not valid UTF-8.", field=name, slug="invalid-unicode") from None
            if b"\x00" in plain:
                raise Invalid(f"The {part} holds a NUL character.", field=name, slug="nul-character")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than the {limit:,} bytes allowed here.", field="body", limit_bytes=limit
    )
