"""Who calls: API keys, browser sessions, roles and corpus scope, as FastAPI dependencies."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyCookie, HTTPBearer

from app.http import keys
from app.http.keys import ROLES, Role, create_api_key
from app.http.problems import Forbidden, NotFound, Unauthorized
from app.http.remembered import Remembered
from app.http.sessions import COOKIE, create_sign_in_link

__all__ = [
    "Admin",
    "Principal",
    "Reader",
    "Reviewer",
    "check_scope",
    "create_api_key",
    "create_sign_in_link",
    "csrf_token",
]

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_REMEMBERED_SECONDS = 2.0
_bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="`Authorization: Bearer rmd_…`")
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="BrowserSession",
    description="Set by /sign-in; edits also need the CSRF token.",
)
_remembered: Remembered[bytes, keys.Credential] = Remembered(_REMEMBERED_SECONDS)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls; `corpus_id` None means every corpus."""

    key_id: str
    name: str
    role: Role
    corpus_id: str | None


async def principal(
    request: Request,
    _header: Annotated[object, Depends(_bearer)],
    _session: Annotated[object, Depends(_cookie)],
) -> Principal:
    """The caller, by API key or browser session; Unauthorized when neither is valid, Forbidden when an edit by a browser lacks its CSRF token."""
    credential = await authenticate(request)
    if request.headers.get("authorization") is None:
        await _check_csrf(request, credential)
    request.state.csrf = credential.csrf
    return Principal(credential.key_id, credential.name, credential.role, credential.corpus_id)


async def authenticate(request: Request) -> keys.Credential:
    """The key or session that a request carries, by its headers alone; Unauthorized when there is none in force."""
    header = request.headers.get("authorization")
    if header is not None:
        kind, _, secret = header.partition(" ")
        known = kind.lower() == "bearer"
        credential = (
            await _look_up(keys.secret_hmac("key", secret.strip()), by_session=False) if known else None
        )
        if credential is None:
            raise _unauthorized("The API key is unknown or revoked. Send `Authorization: Bearer rmd_…`.")
        return credential
    cookie = request.cookies.get(COOKIE)
    credential = await _look_up(keys.secret_hmac("session", cookie), by_session=True) if cookie else None
    if credential is None:
        raise _unauthorized(
            "Send an API key as `Authorization: Bearer rmd_…`, or sign in with a one-time link."
        )
    return credential


def _require(role: Role):  # type: ignore[no-untyped-def]  # a dependency, read by FastAPI
    async def check(
        caller: Annotated[Principal, Depends(principal)],
    ) -> Principal:  # no thread for a comparison
        if ROLES.index(caller.role) < ROLES.index(role):
            raise Forbidden(
                f"This needs a key with the role {role}; yours is {caller.role}.", needed_role=role
            )
        return caller

    return check


Reader = Annotated[Principal, Depends(_require("reader"))]
"""Any valid key or session."""
Reviewer = Annotated[Principal, Depends(_require("reviewer"))]
"""Role reviewer or admin."""
Admin = Annotated[Principal, Depends(_require("admin"))]
"""Role admin."""


def check_scope(caller: Principal, corpus_id: str | None) -> None:
    """NotFound when the key is bound to another corpus: what it may not see does not exist for it."""
    if caller.corpus_id is not None and caller.corpus_id != corpus_id:
        raise NotFound("There is no such thing, or it belongs to a corpus that this key does not reach.")


def require_unscoped(caller: Principal) -> None:
    """Forbidden for a key that is bound to one corpus."""
    if caller.corpus_id is not None:
        raise Forbidden("This key is bound to one corpus; use a key without a corpus.")


def csrf_token(request: Request) -> str:
    """The CSRF token of the browser session that made this request, for forms; empty for API keys."""
    return str(getattr(request.state, "csrf", None) or "")


def forget_credentials() -> None:
    """Drop what is remembered of keys and sessions, after one is revoked."""
    _remembered.forget()


async def _look_up(digest: bytes, *, by_session: bool) -> keys.Credential | None:
    return await _remembered.get(digest, partial(keys.find_credential, digest, by_session=by_session))


async def _check_csrf(request: Request, credential: keys.Credential) -> None:
    if request.method in _SAFE_METHODS:
        return
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        field = (await request.form()).get("csrf_token")
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), (credential.csrf or "").encode()):
        raise Forbidden(
            "The page has expired or the request came from elsewhere: reload the page and try again.",
            slug="csrf",
            field="csrf_token",
        )


def _unauthorized(detail: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})
