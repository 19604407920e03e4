"""Bringing a database to the newest schema: `python -m app.db.migrate`."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.db.session import engine_for
from app.settings import get_settings

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Run every outstanding migration; waits for another process that is doing the same."""
    command.upgrade(_config(url), "head")


def is_current(url: str) -> bool:
    """Whether the database has the newest schema."""
    with engine_for(url).connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return present == ScriptDirectory(str(_MIGRATIONS)).get_current_head()


if __name__ == "__main__":
    configured = get_settings().database_url
    if not configured:
        sys.exit("no database: set REMAND_DATABASE_URL")
    upgrade(configured)
