"""What has expired is removed, what holds stays."""

from __future__ import annotations

from sqlalchemy import Engine, text

from app.db.session import writing
from app.jobs.housekeeping import remove_expired


def test_only_what_has_expired_is_removed(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(
            text("INSERT INTO api_keys (id, name, role, hmac) VALUES ('key_1', 'ada', 'admin', 'x')")
        )
        for name, age in (("old", "25 hours"), ("new", "1 hour")):
            session.execute(
                text(
                    f"""
                    INSERT INTO idempotency_keys (api_key_id, key, request_digest, created_at)
                    VALUES ('key_1', '{name}', 'd', now() - interval '{age}');
                    INSERT INTO browser_sessions (hmac, api_key_id, csrf, expires_at)
                    VALUES ('{name}', 'key_1', 'c', now() + interval '2 hours' - interval '{age}');
                    INSERT INTO sign_in_links (hmac, api_key_id, expires_at)
                    VALUES ('{name}', 'key_1', now() - interval '{age}')
                    """
                )
            )
    with writing(engine) as session:
        removed = remove_expired(session)
        assert removed == {"claims": 0, "idempotency_keys": 1, "browser_sessions": 1, "sign_in_links": 1}
        assert remove_expired(session) == dict.fromkeys(removed, 0)
        assert session.execute(text("SELECT key FROM idempotency_keys")).scalars().all() == ["new"]
