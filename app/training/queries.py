"""SQL of training: the contents that a snapshot speaks of."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sqlalchemy import text

from app.db.session import AnySession


def contents(session: AnySession, version_ids: NDArray[Any]) -> dict[int, str]:
    """Content by text version id, in one query."""
    query = text("SELECT id, content FROM text_versions WHERE id = ANY(:ids)")
    return {row.id: row.content for row in session.execute(query, {"ids": version_ids.tolist()})}
