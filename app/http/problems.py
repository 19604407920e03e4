"""Errors as RFC 9457 problem details: typed exceptions with a status, a stable type and the field at fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Problem(Exception):
    """An error that a caller can act on. `type` is stable: `urn:remand:problem:<slug>` in the answer.

    `detail` says what was wrong, where and what to do; `field` is a JSON pointer or parameter name; `extra` members are added to the body.
    """

    status: int = 400
    slug: str = "bad-request"
    title: str = "The request cannot be carried out"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        slug: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        self.extra = extra
        if slug is not None:
            self.slug = slug
        if status is not None:
            self.status = status

    def body(self) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"urn:remand:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field is not None:
            document["field"] = self.field
        return document | self.extra


class Invalid(Problem):
    """422: understood, but a value is wrong; `field` names it."""

    status, slug, title = 422, "invalid", "A value is wrong"


class NotFound(Problem):
    """404: no such thing, or not visible with this key."""

    status, slug, title = 404, "not-found", "There is no such thing"


class Conflict(Problem):
    """409: the state of things forbids it."""

    status, slug, title = 409, "conflict", "The present state forbids it"


class Unauthorized(Problem):
    """401: no valid key or session."""

    status, slug, title = 401, "unauthorized", "Sign in or send an API key"


class Forbidden(Problem):
    """403: the key's role or corpus scope does not allow it."""

    status, slug, title = 403, "forbidden", "This key may not do that"


class PreconditionRequired(Problem):
    """428: an edit without If-Match."""

    status, slug, title = 428, "precondition-required", "Say which version you edit"


class PreconditionFailed(Problem):
    """412: somebody changed it since you read it."""

    status, slug, title = 412, "stale", "It has changed since you read it"


class TooLarge(Problem):
    """413: body, text or batch over its limit."""

    status, slug, title = 413, "too-large", "The request is too large"


class Unavailable(Problem):
    """503: a part is down or busy; Retry-After says when to come back."""

    status, slug, title = 503, "unavailable", "Not available at the moment"

    def __init__(self, detail: str, *, retry_after: float = 5.0, **rest: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, round(retry_after)))}, **rest)
