"""SQL of what the dispatcher removes once it has expired."""

from __future__ import annotations

from sqlalchemy import text

from app.db.session import WriteSession

_STATEMENTS = {
    "claims": "DELETE FROM claims WHERE expires_at < now()",
    "idempotency_keys": "DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'",
    "browser_sessions": "DELETE FROM browser_sessions WHERE expires_at < now()",
    "sign_in_links": "DELETE FROM sign_in_links WHERE expires_at < now() - interval '24 hours'",
}


def remove_expired(session: WriteSession) -> dict[str, int]:
    """Remove reviewers' claims, browser sessions and links that expired, and idempotency keys older than a day; counts by table."""
    return {
        name: session.connection().execute(text(statement)).rowcount
        for name, statement in _STATEMENTS.items()
    }
