"""SQL of document sets: make, list, find, delete, and what training reads of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from app.blobs import Blob, BlobStore
from app.corpora.queries import register_blob, unreferenced
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog, DocumentFile, DocumentSet
from app.http.problems import NotFound
from app.http.security import Principal, check_scope
from app.ids import new_id
from app.jobs.queries import create_job

_SETS = """
    SELECT s.id, s.corpus_id, s.name, s.job_id, s.created_by, s.created_at, s.read_at, j.state AS job_state,
        count(f.id) FILTER (WHERE f.status = 'read' AND f.kind = 'document') AS documents,
        coalesce(sum(f.row_count), 0)::bigint AS rows,
        count(f.id) FILTER (WHERE f.status = 'refused') AS refused,
        count(f.id) FILTER (WHERE f.status = 'waiting') AS waiting,
        coalesce(sum(f.pages), 0)::bigint AS pages,
        coalesce(sum(f.characters), 0)::bigint AS characters
    FROM document_sets s LEFT JOIN document_files f ON f.set_id = s.id LEFT JOIN jobs j ON j.id = s.job_id
"""
_LISTING = text(
    f"""{_SETS}
    WHERE (CAST(:corpus AS text) IS NULL OR s.corpus_id = :corpus)
      AND (CAST(:at AS timestamptz) IS NULL OR (s.created_at, s.id) < (CAST(:at AS timestamptz), :id))
    GROUP BY s.id, j.state ORDER BY s.created_at DESC, s.id DESC LIMIT :limit"""
)
_ONE = text(f"{_SETS} WHERE s.id = :id GROUP BY s.id, j.state")
_BLOBS = text(
    """SELECT source_blob FROM document_files WHERE set_id = :id
    UNION SELECT text_blob FROM document_files WHERE set_id = :id AND text_blob IS NOT NULL
    UNION SELECT items_blob FROM evaluations WHERE document_set_id = :id AND items_blob IS NOT NULL"""
)
_UNWRITE = text(
    "UPDATE evaluations SET items_blob = NULL, document = document - 'samples' WHERE document_set_id = :id"
)
"""Evaluations keep their numbers, not a word of what they were about."""


def create_set(
    session: WriteSession, blobs: BlobStore, corpus_id: str, name: str, files: Sequence[tuple[str, Blob]], actor: str
) -> DocumentSet:  # fmt: skip
    """A set of uploaded files (name, stored blob) and the job that reads them."""
    made = DocumentSet(id=new_id("doc"), corpus_id=corpus_id, name=name, created_by=actor)
    session.add(made)
    session.flush()
    for filename, blob in files:
        register_blob(session, blobs, blob, "application/octet-stream", "document")
        session.add(DocumentFile(set_id=made.id, filename=filename, source_blob=blob.digest))
    job = create_job(session, "documents", corpus_id, {"document_set": made.id}, actor)
    made.job_id = job.id
    detail = {"corpus_id": corpus_id, "files": len(files)}
    session.add(AuditLog(actor=actor, action="documents.upload", object_id=made.id, detail=detail))
    session.flush()
    return made


def list_sets(
    session: AnySession, *, corpus_id: str | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[RowMapping]:
    """Sets with their counts, newest first. before: (created_at, id) of the last one seen."""
    at, identifier = before or (None, "")
    given = {"corpus": corpus_id, "at": at, "id": identifier, "limit": limit}
    return session.execute(_LISTING, given).mappings().all()


def find_set(
    session: AnySession, set_id: str, caller: Principal | None = None, field: str = "document_set_id"
) -> RowMapping:
    """A set with its counts; NotFound when there is none, or none that the caller's key reaches."""
    found = session.execute(_ONE, {"id": set_id}).mappings().first()
    if found is None:
        raise NotFound(f"There is no document set {set_id!r}: GET /document-sets lists them.", field=field)
    if caller is not None:
        check_scope(caller, found["corpus_id"])
    return found


def files_of(session: AnySession, set_id: str) -> Sequence[DocumentFile]:
    """The files of a set, in the order of upload."""
    return session.scalars(
        select(DocumentFile).where(DocumentFile.set_id == set_id).order_by(DocumentFile.id)
    ).all()


def delete_set(session: WriteSession, set_id: str, actor: str) -> list[str]:
    """Remove a set; gives the digests of blobs that nothing refers to any more, for the caller to delete after the commit."""
    candidates = list(session.scalars(_BLOBS, {"id": set_id}))
    session.execute(_UNWRITE, {"id": set_id})
    session.execute(text("DELETE FROM document_sets WHERE id = :id"), {"id": set_id})
    session.add(AuditLog(actor=actor, action="documents.delete", object_id=set_id, detail={}))
    session.flush()
    return unreferenced(session, candidates)


def state_of(found: RowMapping) -> str:
    """reading, ready or failed."""
    if found["read_at"] is not None:
        return "ready"
    return "failed" if found["job_state"] in {"failed", "cancelled", None} else "reading"


def readable(session: AnySession, set_id: str, kind: str) -> list[dict[str, Any]]:
    """Name, length and text blob of every file of a set that was read as `kind`, in the order of upload."""
    query = text(
        "SELECT id, filename, characters, text_blob FROM document_files "
        "WHERE set_id = :id AND status = 'read' AND kind = :kind ORDER BY id"
    )
    return [dict(row) for row in session.execute(query, {"id": set_id, "kind": kind}).mappings()]
