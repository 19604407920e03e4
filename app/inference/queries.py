"""SQL of classify: which adapter serves a request."""

from __future__ import annotations

from dataclasses import dataclass

from app.adapters.queries import find_adapter, promoted_adapter
from app.adapters.rules import MADE_TO
from app.corpora.queries import corpus_for
from app.db.session import AnySession
from app.db.tables import Adapter
from app.http.problems import Conflict, Invalid
from app.http.security import Principal
from models.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Served:
    """What serving needs to know about an adapter."""

    id: str
    name: str
    corpus_id: str | None
    base_model: str
    digest: str
    blob_digest: str
    scheme: Scheme


def served_adapter(session: AnySession, caller: Principal, adapter: str | None, corpus: str | None) -> Served:
    """The adapter named, else the promoted one of the corpus named, else that of the corpus the key is bound to.

    Raises:
        Invalid: neither was named and the key is not bound to a corpus.
        NotFound: no such adapter or corpus, or out of the key's reach.
        Conflict: the corpus has no promoted adapter, or the adapter does not classify.
    """
    if adapter is not None:
        return _served(find_adapter(session, adapter, caller, "/adapter"))
    return _served(_promoted(session, caller, corpus or caller.corpus_id))


def _promoted(session: AnySession, caller: Principal, corpus: str | None) -> Adapter:
    if corpus is None:
        raise Invalid(
            "Say who shall read it: `adapter` (adp_…), or `corpus` (name or cor_…) for its promoted adapter.",
            field="/adapter",
            slug="adapter-missing",
        )
    return promoted_adapter(session, corpus_for(session, corpus, caller, "/corpus"), "classify")


def _served(row: Adapter) -> Served:
    if row.task != "classify":
        raise Conflict(
            f"The adapter {row.id} is made to {MADE_TO.get(row.task, row.task)}, not to classify.",
            field="/adapter",
            slug="wrong-task",
        )
    scheme = Scheme.from_document(row.manifest["scheme"])
    return Served(row.id, row.name, row.corpus_id, row.base_model, row.digest, row.blob_digest, scheme)
