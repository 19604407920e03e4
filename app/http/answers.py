"""Problems as answers: application/problem+json for our own errors, validation errors, unknown paths and the unexpected."""

from __future__ import annotations

import errno
import json
import re
import traceback
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.http.problems import Problem, Unavailable

_log = structlog.get_logger("remand.http")
_DISK_FULL = "53100"
_SLUGS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed"}
_UNION_BRANCH = re.compile(r"constrained-\w+|literal\[.*\]")
"""How pydantic names the branch of a union that it tried last; no field of anybody's."""
_NO_OBJECT = {"model_attributes_type", "model_type", "dict_type"}
_TITLES = {404: "There is no such thing", 405: "The address does not take this method"}


def install_problem_answers(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in (Problem, OSError, DBAPIError, PoolTimeout):
        app.add_exception_handler(kind, _on_error)


def problem_response(problem: Problem) -> Response:
    """The answer for a problem; plain ASCII JSON, so that whatever a caller sent can be quoted."""
    return Response(
        json.dumps(problem.body()), problem.status, problem.headers, media_type="application/problem+json"
    )


def pointer(location: tuple[Any, ...]) -> str:
    """A pydantic location as a field name: `/texts/3` in a body, the parameter's name elsewhere."""
    if not location:
        return "body"
    if len(location) > 1 and _UNION_BRANCH.fullmatch(str(location[-1])):
        location = location[:-1]
    if location[0] == "body":
        return "/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location[1:])
    return str(location[-1])


def plain_words(kind: str, message: str) -> str:
    """Pydantic's message for a kind of error, in words of our own where its own do not help."""
    if kind == "json_invalid":
        return "The body is not valid JSON."
    if kind == "extra_forbidden":
        return "There is no such field."
    if kind == "timezone_aware":
        return "The time has no zone: write it as 2019-05-01T00:00Z."
    return message.removeprefix("Value error, ")


def frames(error: BaseException) -> list[str]:
    """Where an error arose, without its message or any value: messages may quote texts."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-12:]
    ]


async def _on_error(_request: Request, error: Exception) -> Response:
    return answer_for(error)


def answer_for(error: Exception) -> Response:
    """The answer for an error: a problem says it itself, a full disk is 507, an unreachable database 503, anything else 500."""
    if isinstance(error, Problem):
        return problem_response(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return _no_space(errno.errorcode[error.errno])
    if isinstance(error, DBAPIError | PoolTimeout):
        return _database_error(error)
    return unexpected(error)


async def _on_validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"field": _field(item, error.body), "message": _words(item), "type": item["type"]}
        for item in error.errors()[:50]
    ]
    first = found[0] if found else {"field": "body", "message": "The request is not valid."}
    tried = [item["message"] for item in found if item["field"] == first["field"]]
    problem = Problem(
        f"{first['field']}: {'; or: '.join(tried) or first['message']}",
        field=first["field"],
        slug="invalid",
        status=422,
        errors=found,
    )
    problem.title = "A value is wrong"
    return problem_response(problem)


async def _on_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = error.status_code
    detail, field = _http_words(error)
    problem = Problem(
        detail,
        field=field,
        slug=_SLUGS.get(status, "http-error"),
        status=status,
        headers=error.headers,
    )
    problem.title = _TITLES.get(status, problem.title)
    return problem_response(problem)


def _database_error(error: Exception) -> Response:
    sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if sqlstate == _DISK_FULL:
        return _no_space(sqlstate)
    if isinstance(error, OperationalError | PoolTimeout):
        _log.error(
            "database_unavailable", error=type(error).__name__, sqlstate=sqlstate, frames=frames(error)
        )
        return problem_response(
            Unavailable("The database does not answer at the moment; nothing was stored.")
        )
    return unexpected(error)


def unexpected(error: BaseException) -> Response:
    """Log an unforeseen error (its kind and place, never its message) and answer 500 with the request id."""
    _log.error("unexpected_error", error=type(error).__name__, frames=frames(error))
    problem = Problem(
        "Something unexpected went wrong; nothing was stored. The operator finds it in the log under the request id.",
        slug="internal-error",
        status=500,
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )
    problem.title = "The server made an error"
    return problem_response(problem)


def _no_space(code: str) -> Response:
    _log.error("disk_full_or_read_only", code=code)
    problem = Problem(
        "The disk of the server is full or read-only; nothing was stored. Free space, then send it again.",
        slug="insufficient-storage",
        status=507,
    )
    problem.title = "No space left"
    return problem_response(problem)


def _http_words(error: HTTPException) -> tuple[str, str | None]:
    """What the framework refused, and the field at fault."""
    if error.status_code == 404:
        return "There is nothing at this address.", None
    if error.status_code == 405:
        return f"This address takes {(error.headers or {}).get('Allow', 'other methods')}.", None
    if error.status_code == 400 and isinstance(error.__cause__, UnicodeDecodeError):
        return f"The body is not valid UTF-8 (byte {error.__cause__.start + 1}): send JSON in UTF-8.", "body"
    return str(error.detail), None


def _field(item: dict[str, Any], body: Any) -> str:
    if item["type"] == "json_invalid" or item["loc"] == ("body",):
        return "body"
    return pointer(_without_branches(item["loc"], body, missing=item["type"] == "missing"))


def _without_branches(location: tuple[Any, ...], body: Any, *, missing: bool) -> tuple[Any, ...]:
    """A location without the names that pydantic gives the branches of unions: what the body does not have, a field that is missing aside."""
    if location[0] != "body" or not isinstance(body, dict):
        return location
    kept, here = ["body"], body
    for part in location[1:-1]:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            continue
        kept.append(part)
    last = location[-1]
    there = last in here if isinstance(here, dict) else isinstance(here, list) and isinstance(last, int)
    return (*kept, last) if there or (missing and isinstance(here, dict)) else tuple(kept)


def _words(item: dict[str, Any]) -> str:
    if item["loc"] == ("body",) and item["type"] == "missing":
        return "There is no body: send a JSON object."
    if item["loc"] == ("body",) and item["type"] in _NO_OBJECT:
        return "The body is no JSON object, or it was not sent with `Content-Type: application/json`."
    return plain_words(item["type"], item["msg"])
