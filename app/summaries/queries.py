"""SQL of summaries: who writes, runs, and the summaries of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from app.adapters.queries import find_adapter, promoted_adapter
from app.adapters.rules import MADE_TO
from app.corpora.queries import corpus_for
from app.db.paging import newest_first
from app.db.session import AnySession
from app.db.tables import Adapter, Summary, SummaryRun, Text, TextVersion
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Principal
from app.settings import get_settings
from app.summaries.rules import Writer
from app.summaries.wishes import SummaryWishes
from app.training.generative_rules import check_generative_base

_INSTEAD = {"classify": "POST /classify reads texts with it", "causal": "POST /generate writes with it"}


def writer_of(
    session: AnySession, caller: Principal, body: SummaryWishes, corpus: str | None
) -> Writer | None:
    """Who writes the summaries asked for: the adapter or base model named, else the corpus's promoted adapter; None for extractive methods.

    corpus: id or name; None: that of the key.

    Raises:
        NotFound: no such adapter or corpus, or out of the key's reach.
        Conflict: the adapter was made for another task, or the corpus has none promoted.
        Invalid: a base model that cannot be had, or does not summarize; nobody was named.
    """
    if body.method != "abstractive":
        return None
    if body.base_model is not None:
        check_generative_base(body.base_model, "summarize", get_settings())
        return Writer({"base": body.base_model}, None, {})
    row = _adapter(session, caller, body.adapter, corpus or caller.corpus_id)
    if row.task != "summarize":
        raise Conflict(
            f"The adapter {row.id} is made to {MADE_TO.get(row.task, row.task)}, not to summarize: {_INSTEAD.get(row.task, 'name another')}.",
            field="/adapter",
            slug="wrong-task",
        )
    return Writer({"adapter": row.blob_digest}, row.id, row.manifest.get("reading") or {})


def _adapter(session: AnySession, caller: Principal, adapter: str | None, corpus: str | None) -> Adapter:
    if adapter is not None:
        return find_adapter(session, adapter, caller, "/adapter")
    if corpus is None:
        raise Invalid(
            "Say who shall write: `adapter` (adp_…, of the task summarize), `base_model` (T5 family), or `corpus` (name or cor_…) for its "
            "promoted adapter.",
            field="/adapter",
            slug="adapter-missing",
        )
    return promoted_adapter(session, corpus_for(session, corpus, caller, "/corpus"), "summarize")


def find_summary_run(session: AnySession, corpus_id: str, run_id: str | None) -> SummaryRun:
    """A run of a corpus: the one named, else the newest; NotFound when there is none."""
    query = select(SummaryRun).where(SummaryRun.corpus_id == corpus_id)
    if run_id is not None:
        query = query.where(SummaryRun.id == run_id)
    run = session.scalars(query.order_by(SummaryRun.created_at.desc(), SummaryRun.id.desc()).limit(1)).first()
    if run is None:
        named = f"no summary run {run_id!r}" if run_id else "not been summarized yet: POST /summary-jobs"
        raise NotFound(f"The corpus has {named}.", field="run")
    return run


def list_summary_runs(
    session: AnySession, corpus_id: str | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[SummaryRun]:
    """Runs, newest first. corpus_id: of this corpus only; before: (created_at, id) of the last one seen."""
    query = select(SummaryRun)
    if corpus_id is not None:
        query = query.where(SummaryRun.corpus_id == corpus_id)
    return session.scalars(newest_first(query, SummaryRun.created_at, SummaryRun.id, before, limit)).all()


def list_summaries(
    session: AnySession,
    run_id: str,
    *,
    after: int = 0,
    limit: int | None = None,
    min_supported: float | None = None,
    max_supported: float | None = None,
    text_id: int | None = None,
    without: bool = False,
) -> Iterator[Row[Any]]:
    """Summaries of a run in the order of their texts, which is the order they are made in, with text id, external id, version number and current version id.

    A run has one version of each text, so that a walk by text misses none and doubles none, whatever is edited or still at work.

    Args:
        session: reads.
        run_id: of this run.
        after: id of the last text already seen.
        limit: most rows; None: all, from a server-side cursor.
        min_supported: only those supported at least so far.
        max_supported: only those supported less than or exactly so far.
        text_id: only of this text.
        without: only texts that have no summary.
    """
    query = _listing(run_id).where(Text.id > after).order_by(Text.id)
    if min_supported is not None:
        query = query.where(Summary.supported_share >= min_supported)
    if max_supported is not None:
        query = query.where(Summary.supported_share <= max_supported)
    if text_id is not None:
        query = query.where(Text.id == text_id)
    if without:
        query = query.where(Summary.text.is_(None))
    if limit is not None:
        return iter(session.execute(query.limit(limit)).all())
    return iter(session.execute(query, execution_options={"yield_per": 500}))


def one_summary(session: AnySession, run_id: str, text_id: int) -> tuple[Row[Any], str] | None:
    """The summary of a text in a run, as `list_summaries` gives it, and the content that was summarized."""
    query = _listing(run_id).add_columns(TextVersion.content).where(Text.id == text_id)
    row = session.execute(query.order_by(Summary.text_version_id.desc()).limit(1)).first()
    return None if row is None else (row, row.content)


def _listing(run_id: str) -> Any:
    return (
        select(
            Summary, Text.id.label("text_id"), Text.external_id, TextVersion.version, Text.current_version_id
        )
        .join(TextVersion, TextVersion.id == Summary.text_version_id)
        .join(Text, Text.id == TextVersion.text_id)
        .where(Summary.run_id == run_id)
    )
