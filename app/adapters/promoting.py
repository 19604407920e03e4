"""Promotion: by the gate at the end of a train job, or by a person, who may override it with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import func

from app.adapters.comparing import compared
from app.adapters.gate import GateRules, Present, failures
from app.adapters.queries import ADAPTERS_CHANNEL
from app.adapters.rules import Promotion, promotion
from app.adapters.schemas import PromoteBody
from app.blobs import BlobStore
from app.corpora.queries import lock_corpus
from app.db.session import AnySession, WriteSession
from app.db.tables import Adapter, AuditLog, Corpus, GateDecision
from app.http.problems import Conflict
from app.jobs.queries import notify
from app.settings import get_settings


def gate_rules() -> GateRules:
    """What the operator asks of the gate."""
    settings = get_settings()
    return GateRules(settings.gate_margin, settings.gate_options, settings.gate_automatic)


def present_of(session: AnySession, blobs: BlobStore, corpus: Corpus, adapter: Adapter) -> Present | None:
    """The corpus's promoted adapter beside a new one, on the cells that both hold out; None where it has none, or this one."""
    promoted = session.get(Adapter, corpus.promoted_adapter_id) if corpus.promoted_adapter_id else None
    if promoted is None or promoted.id == adapter.id:
        return None
    lacking = [key for key in promoted.option_keys if key not in adapter.option_keys]
    return Present(promoted.report, lacking, compared(session, blobs, adapter, promoted))


def promote_if_better(
    session: WriteSession, corpus_id: str, adapter: Adapter, actor: str, blobs: BlobStore
) -> Promotion:
    """Promote a new adapter where the gate says so; the corpus row is locked, so that two jobs decide one after the other."""
    corpus = lock_corpus(session, corpus_id)
    if corpus.promoted_adapter_id == adapter.id:
        return Promotion(True, "The same adapter is promoted already.")
    decision = promotion(adapter.report, present_of(session, blobs, corpus, adapter), gate_rules())
    record_decision(session, corpus, adapter, actor, decision, automatic=True)
    if decision.promoted:
        promote(session, corpus, adapter, actor, decision.reason)
    return decision


def promote(
    session: WriteSession,
    corpus: Corpus,
    adapter: Adapter,
    actor: str,
    reason: str,
    failed: Sequence[str] = (),
) -> None:
    """Make it the adapter that a locked corpus serves its task with by default; of one that classifies inference workers hear at commit.

    failed: names of the gate's checks that a person overrode; kept in the audit log.
    """
    before = promoted_id(corpus, adapter.task)
    if adapter.task == "summarize":
        corpus.promoted_summarizer_id = adapter.id
    else:
        corpus.promoted_adapter_id = adapter.id
    corpus.etag += 1
    adapter.promoted_at = func.now()
    detail: dict[str, Any] = {"corpus_id": corpus.id, "before": before, "reason": reason}
    if failed:
        detail |= {"override": True, "failed": list(failed)}
    session.add(AuditLog(actor=actor, action="adapter.promote", object_id=adapter.id, detail=detail))
    session.flush()
    if adapter.task == "classify":
        notify(session, ADAPTERS_CHANNEL, adapter.id)


def promoted_id(corpus: Corpus, task: str) -> str | None:
    """Id of the adapter that a corpus serves a task with by default."""
    return corpus.promoted_summarizer_id if task == "summarize" else corpus.promoted_adapter_id


def record_decision(
    session: WriteSession,
    corpus: Corpus,
    adapter: Adapter,
    actor: str,
    decision: Promotion,
    *,
    automatic: bool,
    override: bool = False,
) -> None:
    """Keep what the gate found and what came of it; call it before the promotion itself."""
    session.add(
        GateDecision(
            adapter_id=adapter.id,
            corpus_id=corpus.id,
            compared_id=promoted_id(corpus, adapter.task),
            automatic=automatic,
            promoted=decision.promoted,
            override=override,
            actor=actor,
            reason=decision.reason,
            checks=[check.to_document() for check in decision.checks],
        )
    )


def by_hand(session: WriteSession, corpus: Corpus, adapter: Adapter, actor: str, asked: PromoteBody) -> None:
    """Promote because a person says so. The gate is of adapters that classify; one that summarizes is promoted as asked.

    Raises Conflict (`gate-not-passed`, with every check) when the gate does not let it pass and no override was asked for,
    and `wrong-task` for an adapter that writes on.
    """
    if adapter.task not in ("classify", "summarize"):
        raise Conflict(
            f"The adapter {adapter.id} is made to write on from a prompt: only adapters that classify or summarize are a corpus's default.",
            field="adapter_id",
            slug="wrong-task",
        )
    reason = (asked.reason or "").strip() or "Promoted by hand."
    if adapter.task == "summarize":
        record_decision(session, corpus, adapter, actor, Promotion(True, reason), automatic=False)
        promote(session, corpus, adapter, actor, reason)
        return
    blobs = BlobStore(get_settings().blob_root)
    rules = replace(gate_rules(), automatic=True)
    decision = promotion(adapter.report, present_of(session, blobs, corpus, adapter), rules)
    failed = [check.name for check in failures(decision.checks)]
    if failed and not asked.override:
        raise Conflict(
            f"It does not pass the gate. {decision.reason.removeprefix('Not promoted. ')} To promote it all the same, send `override`: true "
            "with a `reason`; both are recorded.",
            field="/override",
            slug="gate-not-passed",
            checks=[check.to_document() for check in decision.checks],
        )
    kept = Promotion(True, reason, decision.checks)
    record_decision(session, corpus, adapter, actor, kept, automatic=False, override=bool(failed))
    promote(session, corpus, adapter, actor, reason, failed)
