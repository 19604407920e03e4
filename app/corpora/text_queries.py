"""SQL of texts: listing by keyset with filters, one text with its history; and a sample by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from app.db.session import AnySession
from app.db.tables import Sample
from app.http.problems import Invalid

_COLUMNS = """
    t.id, t.external_id, v.version, length(v.content) AS characters, t.given_split, t.groups, t.metadata,
    left(v.content, 200) AS beginning
"""
_LISTING = text(
    f"""
    SELECT {_COLUMNS} FROM texts t JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus AND t.id > :after
      AND (CAST(:external_id AS text) IS NULL OR t.external_id = :external_id)
      AND (CAST(:split AS text) IS NULL OR t.given_split = :split)
      AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(CAST(:metadata AS jsonb)) f WHERE t.metadata ->> f.key IS DISTINCT FROM f.value)
      AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(CAST(:groups AS jsonb)) f WHERE t.groups ->> f.key IS DISTINCT FROM f.value)
    ORDER BY t.id LIMIT :limit
    """  # noqa: S608  # constants only
)
_ONE = text(
    f"""
    SELECT {_COLUMNS}, v.content FROM texts t JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus AND t.id = :id
    """  # noqa: S608  # constants only
)
_VERSIONS = text(
    "SELECT version, length(content) AS characters, job_id, created_at FROM text_versions WHERE text_id = :id ORDER BY version"
)


def list_texts(
    session: AnySession, corpus_id: str, *, after: int, limit: int, **filters: Any
) -> Sequence[RowMapping]:
    """Texts with an id above `after`, in order of import. filters: external_id, split, metadata and groups as JSON objects of strings."""
    parameters = {"corpus": corpus_id, "after": after, "limit": limit, **filters}
    return session.execute(_LISTING, parameters).mappings().all()


def get_text(session: AnySession, corpus_id: str, text_id: int) -> RowMapping | None:
    """One text of a corpus with its current content, or None."""
    return session.execute(_ONE, {"corpus": corpus_id, "id": text_id}).mappings().first()


def text_versions(session: AnySession, text_id: int) -> Sequence[RowMapping]:
    """The history of a text's content, oldest first, without the content."""
    return session.execute(_VERSIONS, {"id": text_id}).mappings().all()


def pairs(given: Sequence[str], field: str) -> Mapping[str, str]:
    """Filters written `key=value` as a mapping; Invalid for one without `=` or a key given twice."""
    found: dict[str, str] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key or key in found:
            raise Invalid(
                f"Write the filter as {field}=key=value, each key once; got {item[:100]!r}.", field=field
            )
        found[key] = value
    return found


def get_sample(session: AnySession, corpus_id: str, sample_id: str) -> Sample | None:
    """A recorded sample of a corpus, or None."""
    return session.scalars(
        select(Sample).where(Sample.corpus_id == corpus_id, Sample.id == sample_id)
    ).first()
