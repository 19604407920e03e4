"""API keys, browser sessions, sign-in links and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier, Number


class ApiKey(Base):
    """A key with a role and, if set, one corpus; only its HMAC is stored."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("role IN ('reader', 'reviewer', 'admin')", name="role"),)
    id: Mapped[Identifier]
    name: Mapped[str]
    role: Mapped[str]
    corpus_id: Mapped[str | None] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"))
    hmac: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_at: Mapped[Created]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class BrowserSession(Base):
    """A signed-in browser; the cookie's HMAC is the key."""

    __tablename__ = "browser_sessions"
    hmac: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    csrf: Mapped[str]
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]


class SignInLink(Base):
    """A link that signs a browser in once."""

    __tablename__ = "sign_in_links"
    hmac: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    api_key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AuditLog(Base):
    """Who did what; append-only (a trigger refuses update and delete)."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_object", "object_id"),)
    id: Mapped[Number]
    at: Mapped[Created]
    actor: Mapped[str]
    action: Mapped[str]
    object_id: Mapped[str | None]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
