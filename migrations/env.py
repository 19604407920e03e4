"""How migrations run: one at a time (advisory lock), never waiting long for a table lock, against REMAND_DATABASE_URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from app.db.session import engine_for, sqlalchemy_url
from app.db.tables import Base
from app.settings import get_settings

_ADVISORY_LOCK = 7_266_266_263
_LIMITS = ("SET lock_timeout = '10s'", "SET statement_timeout = '15min'")


def _url() -> str:
    url = context.config.attributes.get("url") or get_settings().database_url
    if not url:
        raise RuntimeError("no database: set REMAND_DATABASE_URL")
    return str(url)


def _run_online() -> None:
    with engine_for(sqlalchemy_url(_url())).connect() as connection:
        for limit in _LIMITS:
            connection.execute(text(limit))
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()
        try:
            context.configure(
                connection=connection, target_metadata=Base.metadata, compare_server_default=True
            )
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()


if context.is_offline_mode():
    context.configure(url=_url(), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    _run_online()
