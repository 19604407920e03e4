"""Errors as pages: whoever asks for HTML gets a problem as a page, and without a session the sign-in form."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.pages.render import HEADERS, templates

_PASSED_ON = {"retry-after", "www-authenticate", "x-request-id", "set-cookie"}


class ErrorPages:
    """ASGI middleware around everything: replaces an application/problem+json answer for a browser by a page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through but problems that a browser asked for."""
        if scope["type"] != "http" or not wants_page(Request(scope).headers.get("accept", "")):
            await self._app(scope, receive, send)
            return
        started: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal started, body
            if message["type"] == "http.response.start" and _is_problem(message):
                started = message
            elif started is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    await _send_page(scope, started, json.loads(body), send)

        await self._app(scope, receive, sending)


def wants_page(accept: str) -> bool:
    """Whether an Accept header is a browser's: HTML named before any JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    first = next((kind for kind in kinds if kind == "text/html" or "json" in kind), "")
    return first == "text/html"


def _is_problem(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"application/problem+json")
        for name, value in message.get("headers", ())
    )


async def _send_page(scope: Scope, started: Message, problem: dict[str, Any], send: Send) -> None:
    status = started["status"]
    signing_in = status == 401 or scope["path"] == "/sign-in"
    reproach = problem if _reproachable(scope, status) else None
    template = templates().get_template("sign_in.html" if signing_in else "problem.html")
    content = template.render(caller=None, csrf="", problem=problem, reproach=reproach).encode()
    headers = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
    headers[b"content-type"] = b"text/html; charset=utf-8"
    headers[b"content-length"] = str(len(content)).encode()
    kept = [(n, v) for n, v in started["headers"] if n.decode("latin-1").lower() in _PASSED_ON]
    await send({"type": "http.response.start", "status": status, "headers": [*kept, *headers.items()]})
    await send({"type": "http.response.body", "body": content})


def _reproachable(scope: Scope, status: int) -> bool:
    """Whether the sign-in form says what went wrong: not to somebody who has just come, without a link or a key."""
    if scope["method"] == "POST":
        return True
    return scope["path"] == "/sign-in" and status == 401
