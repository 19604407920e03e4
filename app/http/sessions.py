"""Browser sessions: one-time sign-in links, cookies and CSRF tokens. Only HMACs are stored."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from starlette.responses import Response

from app.db.session import WriteSession
from app.db.tables import BrowserSession, SignInLink
from app.http.keys import secret_hmac
from app.http.problems import Unauthorized
from app.settings import get_settings

COOKIE = "remand_session"
LINK_MINUTES = 60
"""How long a sign-in link waits to be used."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was just begun: the cookie's value, which is nowhere else, and its CSRF token."""

    cookie: str
    csrf: str
    expires_at: datetime


def create_sign_in_link(session: WriteSession, key_id: str, minutes: float = LINK_MINUTES) -> str:
    """A token for `/sign-in?token=…` that signs one browser in, once, with the rights of a key."""
    token = secrets.token_urlsafe(32)
    session.add(
        SignInLink(
            hmac=secret_hmac("link", token),
            api_key_id=key_id,
            expires_at=datetime.now(UTC) + timedelta(minutes=minutes),
        )
    )
    session.flush()
    return token


def sign_in_with_link(session: WriteSession, token: str) -> NewSession:
    """Use up a link and begin a session; Unauthorized when it was used before, has expired or never existed."""
    key_id = session.scalar(
        text(
            """UPDATE sign_in_links l SET used_at = now() FROM api_keys k
            WHERE l.hmac = :digest AND l.used_at IS NULL AND l.expires_at > now() AND k.id = l.api_key_id AND k.revoked_at IS NULL
            RETURNING l.api_key_id"""
        ),
        {"digest": secret_hmac("link", token)},
    )
    if key_id is None:
        raise Unauthorized(
            "This sign-in link was used before or has expired. Make a new one with `remand keys sign-in-link`.",
            slug="sign-in-link",
            field="token",
        )
    return _begin(session, key_id)


def sign_in_with_key(session: WriteSession, secret: str) -> NewSession:
    """Begin a session with an API key typed into the sign-in form; Unauthorized when it is not in force."""
    key_id = session.scalar(
        text("SELECT id FROM api_keys WHERE hmac = :digest AND revoked_at IS NULL"),
        {"digest": secret_hmac("key", secret)},
    )
    if key_id is None:
        raise Unauthorized("The API key is unknown or revoked.", field="key")
    return _begin(session, key_id)


def sign_out(session: WriteSession, cookie: str) -> None:
    """End the session of a cookie, if there is one."""
    session.execute(
        text("DELETE FROM browser_sessions WHERE hmac = :digest"), {"digest": secret_hmac("session", cookie)}
    )


def set_cookie(response: Response, begun: NewSession) -> None:
    """Put the session's cookie on an answer: not readable by scripts, not sent with foreign posts."""
    settings = get_settings()
    response.set_cookie(
        COOKIE,
        begun.cookie,
        max_age=int(settings.session_hours * 3600),
        httponly=True,
        secure=settings.cookie_secure,
        samesite="lax",
        path="/",
    )


def _begin(session: WriteSession, key_id: str) -> NewSession:
    # A fresh random value each time: a cookie that somebody planted before the sign-in never becomes a session.
    begun = NewSession(
        secrets.token_urlsafe(32),
        secrets.token_urlsafe(24),
        datetime.now(UTC) + timedelta(hours=get_settings().session_hours),
    )
    session.execute(text("DELETE FROM browser_sessions WHERE expires_at < now()"))
    session.execute(text("DELETE FROM sign_in_links WHERE expires_at < now() - interval '1 day'"))
    session.add(
        BrowserSession(
            hmac=secret_hmac("session", begun.cookie),
            api_key_id=key_id,
            csrf=begun.csrf,
            expires_at=begun.expires_at,
        )
    )
    session.flush()
    return begun
