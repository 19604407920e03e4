"""SQL of adapters: register, find, list. Promoting is app.adapters.promoting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.adapters.rules import beats_baselines
from app.blobs import Blob, BlobStore
from app.corpora.queries import register_blob
from app.db.paging import newest_first
from app.db.session import AnySession, WriteSession
from app.db.tables import Adapter, Corpus, GateDecision
from app.http.problems import Conflict, NotFound
from app.http.security import Principal, check_scope
from app.ids import new_id

ADAPTERS_CHANNEL = "remand_adapters"
"""NOTIFY with an adapter id: it was promoted."""


@dataclass(frozen=True, slots=True)
class NewAdapter:
    """An adapter to register; its tar is in the blob store. origin: `train` or `import`."""

    manifest: Mapping[str, Any]
    report: Mapping[str, Any]
    blob: Blob
    corpus_id: str | None
    name: str
    created_by: str | None
    origin: str
    job_id: str | None = None
    snapshot_id: str | None = None


def register_adapter(session: WriteSession, blobs: BlobStore, new: NewAdapter) -> tuple[Adapter, bool]:
    """The row of an adapter, and whether it was added now; the same adapter is registered once per corpus."""
    manifest = new.manifest
    row = {
        "id": new_id("adp"),
        "corpus_id": new.corpus_id,
        "job_id": new.job_id,
        "snapshot_id": new.snapshot_id,
        "task": manifest["task"],
        "name": new.name,
        "base_model": manifest["base"]["name"],
        "option_keys": list(manifest["option_keys"]),
        "digest": manifest["digest"],
        "blob_digest": new.blob.digest,
        "manifest": dict(manifest),
        "report": dict(new.report),
        "beats_baselines": beats_baselines(new.report),
        "origin": new.origin,
        "created_by": new.created_by,
    }
    register_blob(session, blobs, new.blob, "application/x-tar", "adapter")
    added = session.execute(
        insert(Adapter).values(row).on_conflict_do_nothing().returning(Adapter.id)
    ).scalar_one_or_none()
    same_corpus = Adapter.corpus_id.is_not_distinct_from(new.corpus_id)
    adapter = session.scalars(select(Adapter).where(same_corpus, Adapter.digest == manifest["digest"])).one()
    return adapter, added is not None


def list_adapters(
    session: AnySession,
    *,
    corpus_id: str | None = None,
    only: str | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[Adapter]:
    """Adapters, newest first. corpus_id: of this corpus; only: the corpus a key is bound to; before: (created_at, id) of the last one seen."""
    query = select(Adapter)
    for wanted in (corpus_id, only):
        if wanted is not None:
            query = query.where(Adapter.corpus_id == wanted)
    return session.scalars(newest_first(query, Adapter.created_at, Adapter.id, before, limit)).all()


def promoted_adapters(session: AnySession, adapters: Sequence[Adapter]) -> set[str]:
    """Ids of those adapters that their corpus serves by default."""
    ids = [adapter.id for adapter in adapters]
    columns = (Corpus.promoted_adapter_id, Corpus.promoted_summarizer_id)
    queries = [select(column).where(column.in_(ids)) for column in columns]
    return {found for query in queries for found in session.scalars(query) if found}


def promoted_adapter(session: AnySession, corpus: Corpus, task: str) -> Adapter:
    """The adapter that a corpus serves a task (`classify`, `summarize`) with by default; Conflict where none is promoted."""
    promoted = corpus.promoted_adapter_id if task == "classify" else corpus.promoted_summarizer_id
    row = session.get(Adapter, promoted) if promoted else None
    if row is None:
        of = "" if task == "classify" else f" of the task {task}"
        raise Conflict(
            f"The corpus {corpus.name!r} has no promoted adapter{of}: train one, or name one as `adapter`.",
            field="/corpus",
            slug="no-promoted-adapter",
        )
    return row


def about_corpus(session: AnySession, corpus_id: str, snapshot_id: str | None) -> dict[str, Any]:
    """What a model card says of the corpus; neither its name nor a text."""
    query = text(
        """SELECT c.synthetic, c.sensitive, (SELECT count(*) FROM annotators a WHERE a.corpus_id = c.id) AS annotators
        FROM corpora c WHERE c.id = :id"""
    )
    row = session.execute(query, {"id": corpus_id}).mappings().first()
    return {**(row or {}), "snapshot_id": snapshot_id}


def decisions_on(session: AnySession, adapter_id: str) -> Sequence[GateDecision]:
    """What the gate and people decided about an adapter, newest first."""
    query = select(GateDecision).where(GateDecision.adapter_id == adapter_id)
    return session.scalars(query.order_by(GateDecision.id.desc()).limit(50)).all()


def find_adapter(
    session: AnySession, adapter_id: str, caller: Principal, field: str = "adapter_id"
) -> Adapter:
    """An adapter; NotFound, which names the caller's `field`, when there is none that this key reaches."""
    adapter = session.get(Adapter, adapter_id)
    if adapter is None:
        raise NotFound(f"There is no adapter {adapter_id!r}: GET /adapters lists them.", field=field)
    check_scope(caller, adapter.corpus_id)
    return adapter
