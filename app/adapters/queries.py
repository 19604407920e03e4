"""SQL of adapters: register, list, promote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from app.adapters.rules import Promotion, beats_baselines, promotion
from app.blobs import Blob, BlobStore
from app.corpora.queries import lock_corpus, register_blob
from app.db.session import AnySession, WriteSession
from app.db.tables import Adapter, AuditLog, Corpus
from app.ids import new_id
from app.jobs.queries import notify

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
    query = select(Adapter).order_by(Adapter.created_at.desc(), Adapter.id.desc()).limit(limit)
    for wanted in (corpus_id, only):
        if wanted is not None:
            query = query.where(Adapter.corpus_id == wanted)
    if before is not None:
        query = query.where(tuple_(Adapter.created_at, Adapter.id) < before)
    return session.scalars(query).all()


def promoted_adapters(session: AnySession, adapters: Sequence[Adapter]) -> set[str]:
    """Ids of those adapters that their corpus serves by default."""
    query = select(Corpus.promoted_adapter_id).where(
        Corpus.promoted_adapter_id.in_([adapter.id for adapter in adapters])
    )
    return {found for found in session.scalars(query) if found}


def promote_if_better(session: WriteSession, corpus_id: str, adapter: Adapter, actor: str) -> Promotion:
    """Promote a new adapter where the rule says so; the corpus row is locked, so that two jobs decide one after the other."""
    corpus = lock_corpus(session, corpus_id)
    if corpus.promoted_adapter_id == adapter.id:
        return Promotion(True, "The same adapter is promoted already.")
    present = session.get(Adapter, corpus.promoted_adapter_id) if corpus.promoted_adapter_id else None
    lacking = [key for key in present.option_keys if key not in adapter.option_keys] if present else []
    decision = promotion(adapter.report, present.report if present is not None else None, lacking)
    if decision.promoted:
        promote(session, corpus, adapter, actor, decision.reason)
    return decision


def promote(session: WriteSession, corpus: Corpus, adapter: Adapter, actor: str, reason: str) -> None:
    """Make it the adapter that a locked corpus serves by default; inference workers hear of it at commit."""
    before, corpus.promoted_adapter_id = corpus.promoted_adapter_id, adapter.id
    corpus.etag += 1
    adapter.promoted_at = func.now()
    detail = {"corpus_id": corpus.id, "before": before, "reason": reason}
    session.add(AuditLog(actor=actor, action="adapter.promote", object_id=adapter.id, detail=detail))
    session.flush()
    notify(session, ADAPTERS_CHANNEL, adapter.id)
