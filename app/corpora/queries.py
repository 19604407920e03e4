"""SQL of corpora: find, list, change, delete; and of the blobs they own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from app.blobs import Blob, BlobStore
from app.db.paging import newest_first
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLog, Corpus
from app.db.tables import Blob as BlobRow
from app.http.problems import Conflict, NotFound, Unavailable
from app.http.security import Principal, check_scope
from app.ids import new_id
from app.training.search_queries import remove_orphaned_studies

_COUNTS = text(
    """
    SELECT (SELECT count(*) FROM texts WHERE corpus_id = :id) AS texts,
           (SELECT count(*) FROM annotators WHERE corpus_id = :id) AS annotators,
           (SELECT max(version) FROM scheme_versions WHERE corpus_id = :id) AS scheme_version,
           (SELECT count(*) FROM options WHERE corpus_id = :id AND NOT retired) AS options
    """
)
_REFERENCED = """
    SELECT blob_digest FROM label_snapshots WHERE corpus_id {is} :id
    UNION SELECT blob_digest FROM adapters WHERE corpus_id {is} :id
    UNION SELECT frame_blob FROM audit_samples WHERE corpus_id {is} :id
    UNION SELECT seal_blob FROM audit_samples WHERE corpus_id {is} :id
    UNION SELECT package_blob FROM estimates WHERE corpus_id {is} :id
    UNION SELECT items_blob FROM evaluations WHERE corpus_id {is} :id AND items_blob IS NOT NULL
    UNION SELECT texts_blob FROM relabel_runs WHERE corpus_id {is} :id
    UNION SELECT embeddings_blob FROM relabel_runs WHERE corpus_id {is} :id AND embeddings_blob IS NOT NULL
    UNION SELECT evidence_blob FROM relabel_runs WHERE corpus_id {is} :id AND evidence_blob IS NOT NULL
    UNION SELECT f.source_blob FROM document_files f JOIN document_sets s ON s.id = f.set_id WHERE s.corpus_id {is} :id
    UNION SELECT f.text_blob FROM document_files f JOIN document_sets s ON s.id = f.set_id
        WHERE s.corpus_id {is} :id AND f.text_blob IS NOT NULL
    UNION SELECT params->>'blob' FROM jobs WHERE corpus_id {is} :id AND params->>'blob' IS NOT NULL
    UNION SELECT result->>'rejected_blob' FROM jobs WHERE corpus_id {is} :id AND result->>'rejected_blob' IS NOT NULL
"""

_DELETION = (
    "UPDATE corpora SET promoted_adapter_id = NULL, promoted_summarizer_id = NULL WHERE id = :id",
    "DELETE FROM relabel_runs WHERE corpus_id = :id",
    "DELETE FROM annotations a USING texts t WHERE t.id = a.text_id AND t.corpus_id = :id",
    "DELETE FROM adapters WHERE corpus_id = :id",
    "DELETE FROM corpora WHERE id = :id",
)
"""What refers to a corpus's rows without a cascade goes first; the last one takes the rest with it."""


def find_corpus(session: AnySession, reference: str, field: str = "corpus_id") -> Corpus:
    """A corpus by id or unique name; NotFound, which names the caller's `field`, when there is none."""
    query = select(Corpus).where((Corpus.id == reference) | (Corpus.name == reference))
    corpus = session.scalars(query.order_by(Corpus.id == reference)).first()
    if corpus is None:
        raise NotFound(
            f"There is no corpus {reference!r}: name it by its id (cor_…) or its exact name.", field=field
        )
    return corpus


def corpus_for(session: AnySession, reference: str, caller: Principal, field: str = "corpus_id") -> Corpus:
    """`find_corpus`, and NotFound as well, in the same words, when the caller's key does not reach it."""
    try:
        corpus = find_corpus(session, reference, field)
        check_scope(caller, corpus.id)
    except NotFound:
        if caller.corpus_id is None:
            raise
        # one answer for both, so that a bound key cannot try out the names of other corpora
        raise NotFound(
            f"There is no corpus {reference!r} that this key reaches: it is bound to one corpus.", field=field
        ) from None
    return corpus


def lock_corpus(session: WriteSession, corpus_id: str) -> Corpus:
    """The corpus row, locked until the transaction ends, so that edits of it follow one another."""
    corpus = session.get(Corpus, corpus_id, with_for_update={"key_share": True}, populate_existing=True)
    if corpus is None:
        raise NotFound(f"There is no corpus {corpus_id!r}.", field="corpus_id")
    return corpus


def list_corpora(
    session: AnySession,
    *,
    only: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[Corpus]:
    """Corpora, newest first. only: the one corpus a key is bound to; before: (created_at, id) of the last one seen."""
    query = select(Corpus)
    if only is not None:
        query = query.where(Corpus.id == only)
    return session.scalars(newest_first(query, Corpus.created_at, Corpus.id, before, limit)).all()


def corpus_counts(session: AnySession, corpus_id: str) -> dict[str, int]:
    """Numbers of texts, annotators, options in use, and the newest scheme version (0: none)."""
    row = session.execute(_COUNTS, {"id": corpus_id}).mappings().one()
    return {name: row[name] or 0 for name in ("texts", "annotators", "options", "scheme_version")}


def create_corpus(session: WriteSession, actor: str, **fields: Any) -> Corpus:
    """A new corpus; Conflict when its name is taken."""
    corpus = Corpus(id=new_id("cor"), **fields)
    session.add(corpus)
    flush_name(session, corpus.name)
    session.refresh(corpus)
    session.add(
        AuditLog(actor=actor, action="corpus.create", object_id=corpus.id, detail={"name": corpus.name})
    )
    return corpus


def flush_name(session: WriteSession, name: str) -> None:
    """Send what is pending; Conflict when that would give a corpus the name of another."""
    try:
        session.flush()
    except IntegrityError as error:
        if "uq_corpora_name" in str(error.orig):
            raise Conflict(
                f"There is a corpus named {name!r} already.", field="/name", slug="name-taken"
            ) from None
        raise


def delete_corpus(session: WriteSession, corpus: Corpus, actor: str) -> list[str]:
    """Remove a corpus with everything in it; gives the digests of blobs that nothing refers to any more.

    Their files are deleted by the caller once the transaction has been committed.
    """
    candidates = list(session.scalars(text(_REFERENCED.format(**{"is": "="})), {"id": corpus.id}))
    for statement in _DELETION:
        session.execute(text(statement), {"id": corpus.id})
    remove_orphaned_studies(session)
    session.add(
        AuditLog(actor=actor, action="corpus.delete", object_id=corpus.id, detail={"name": corpus.name})
    )
    session.flush()
    return unreferenced(session, candidates)


def unreferenced(session: WriteSession, digests: Sequence[str]) -> list[str]:
    """Of these blobs, those that no corpus refers to; their rows are removed."""
    removed = session.scalars(
        text(
            f"""DELETE FROM blobs b WHERE b.digest = ANY(:digests)
            AND NOT EXISTS (SELECT 1 FROM ({_REFERENCED.format(**{"is": "IS DISTINCT FROM"})}) r(digest) WHERE r.digest = b.digest)
            RETURNING b.digest"""  # noqa: S608  # both parts are constants
        ),
        {"digests": list(digests), "id": ""},
    )
    return list(removed)


def register_blob(session: WriteSession, blobs: BlobStore, blob: Blob, media_type: str, purpose: str) -> None:
    """Give a stored blob its row, in the transaction that refers to it; Unavailable when its file has gone meanwhile."""
    _lock_blob(session, blob.digest)
    if not blobs.exists(blob.digest):
        raise Unavailable("The file was removed while it was being registered: send it again.", retry_after=1)
    row = insert(BlobRow).values(digest=blob.digest, size=blob.size, media_type=media_type, purpose=purpose)
    session.execute(row.on_conflict_do_nothing())


def drop_unregistered(session: WriteSession, blobs: BlobStore, digest: str) -> None:
    """Remove a blob's file if it has no row: the request that brought it was refused."""
    _lock_blob(session, digest)
    if session.get(BlobRow, digest) is None:
        blobs.delete(digest)


def _lock_blob(session: WriteSession, digest: str) -> None:
    """Let nobody register and drop the same blob at the same time."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:digest, 0))"), {"digest": digest})
