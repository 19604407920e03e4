"""SQL of generation: which adapter writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.adapters.queries import find_adapter
from app.db.session import AnySession
from app.db.tables import Corpus
from app.generating.rules import check_may_write
from app.http.problems import Conflict
from app.http.security import Principal

_INSTEAD = {
    "classify": "POST /classify reads texts with it",
    "summarize": "POST /summarize summarizes with it",
}


@dataclass(frozen=True, slots=True)
class Writes:
    """An adapter of the task `causal`."""

    id: str
    name: str
    corpus_id: str | None
    base_model: str
    digest: str
    blob_digest: str
    block: int
    """Tokens of the windows that it was trained and measured in."""


def writing_adapter(session: AnySession, caller: Principal, adapter: str) -> Writes:
    """The adapter that shall write.

    Raises:
        NotFound: no such adapter, or out of the key's reach.
        Conflict: it is made for another task, or its corpus has been marked as sensitive.
    """
    row = find_adapter(session, adapter, caller, "/adapter")
    if row.task != "causal":
        raise Conflict(
            f"The adapter {row.id} is made to {row.task}, not to write: {_INSTEAD.get(row.task, 'name another')}.",
            field="/adapter",
            slug="wrong-task",
        )
    corpus = session.get(Corpus, row.corpus_id) if row.corpus_id else None
    if corpus is not None:
        check_may_write(corpus.name, sensitive=corpus.sensitive)
    manifest: dict[str, Any] = row.manifest
    block = int(manifest.get("reading", {}).get("block_tokens") or 2048)
    return Writes(row.id, row.name, row.corpus_id, row.base_model, row.digest, row.blob_digest, block)
