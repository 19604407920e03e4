"""API keys in the database: made once, shown once, stored as an HMAC only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import select, text

from app.db.session import AnySession, WriteSession, reading, writing
from app.db.tables import ApiKey, AuditLog
from app.http.problems import Invalid, NotFound
from app.ids import new_id
from app.settings import get_settings

Role = Literal["reader", "reviewer", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Roles, each including the ones before it."""

_FIND_KEY = text(
    """SELECT id AS key_id, name, role, corpus_id, NULL AS csrf, last_used_at IS NULL OR last_used_at < now() - interval '5 minutes' AS stale
    FROM api_keys WHERE hmac = :digest AND revoked_at IS NULL"""
)
_FIND_SESSION = text(
    """SELECT k.id AS key_id, k.name, k.role, k.corpus_id, s.csrf, k.last_used_at IS NULL OR k.last_used_at < now() - interval '5 minutes' AS stale
    FROM browser_sessions s JOIN api_keys k ON k.id = s.api_key_id
    WHERE s.hmac = :digest AND s.expires_at > now() AND k.revoked_at IS NULL"""
)
_TOUCH = text(
    "UPDATE api_keys SET last_used_at = now() WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '5 minutes')"
)


@dataclass(frozen=True, slots=True)
class Credential:
    """A valid key or session as found in the database; `csrf` None for keys."""

    key_id: str
    name: str
    role: Role
    corpus_id: str | None
    csrf: str | None


def secret_hmac(purpose: Literal["key", "session", "link"], secret: str) -> bytes:
    """HMAC-SHA256 of a secret under the server's key; the purpose keeps one kind from passing as another."""
    key = get_settings().secret_key.get_secret_value().encode()
    return hmac.new(key, f"{purpose}:{secret}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


def create_api_key(
    session: WriteSession, name: str, role: Role, corpus_id: str | None = None
) -> tuple[ApiKey, str]:
    """Make a key; the secret (`rmd_…`, 256 random bits) is given out here and never again. Invalid for an unknown role."""
    if role not in ROLES:
        raise Invalid(f"There is no role {role!r}: choose one of {', '.join(ROLES)}.", field="/role")
    secret = "rmd_" + secrets.token_urlsafe(32)
    key = ApiKey(id=new_id("key"), name=name, role=role, corpus_id=corpus_id, hmac=secret_hmac("key", secret))
    session.add(key)
    session.flush()
    return key, secret


def revoke_api_key(session: WriteSession, key_id: str, actor: str) -> None:
    """End a key and every browser session made with it; NotFound when there is none in force."""
    row = session.execute(
        text("UPDATE api_keys SET revoked_at = now() WHERE id = :id AND revoked_at IS NULL RETURNING name"),
        {"id": key_id},
    ).first()
    if row is None:
        raise NotFound(f"There is no key {key_id} in force.", field="key_id")
    session.execute(text("DELETE FROM browser_sessions WHERE api_key_id = :id"), {"id": key_id})
    session.add(AuditLog(actor=actor, action="key.revoke", object_id=key_id, detail={"name": row.name}))


def list_api_keys(session: AnySession) -> list[ApiKey]:
    """Every key, oldest first."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)))


def find_credential(digest: bytes, *, by_session: bool) -> Credential | None:
    """The key or session with this HMAC, if it is in force. `last_used_at` is written at most once in five minutes."""
    with reading() as session:
        row = (
            session.execute(_FIND_SESSION if by_session else _FIND_KEY, {"digest": digest}).mappings().first()
        )
    if row is None:
        return None
    if row["stale"]:
        with writing() as session:
            session.execute(_TOUCH, {"id": row["key_id"]})
    return Credential(row["key_id"], row["name"], row["role"], row["corpus_id"], row["csrf"])
