"""SQL of samples: frames, recorded samples and their texts, predictions that picks are made by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from app.corpora.sample_schemas import SampleRequest
from app.corpora.text_queries import get_sample
from app.db.paging import newest_first
from app.db.session import AnySession
from app.db.tables import RelabelRun, Sample
from app.http.problems import Conflict, Invalid, NotFound
from app.http.security import Principal, check_scope

_MATCHING = text(
    """
    SELECT t.id FROM texts t WHERE t.corpus_id = :corpus
      AND NOT EXISTS (SELECT 1 FROM jsonb_each_text(CAST(:metadata AS jsonb)) f WHERE t.metadata ->> f.key IS DISTINCT FROM f.value)
    """
)
_PREDICTED = text(
    """
    SELECT p.text_version_id FROM predictions p WHERE p.run_id = :run AND p.models > 0
    """
)
_TEXTS = """
    SELECT u.place, u.text_id, t.external_id, u.inclusion, u.stratum,
        EXISTS (SELECT FROM annotations a WHERE a.text_id = t.id) AS labelled, {content}
    FROM samples s CROSS JOIN LATERAL unnest(s.text_ids, s.inclusion, s.strata) WITH ORDINALITY AS u (text_id, inclusion, stratum, place)
    JOIN texts t ON t.id = u.text_id JOIN text_versions v ON v.id = t.current_version_id
    WHERE s.id = :sample AND u.place > :after ORDER BY u.place LIMIT :limit
"""
_UNLABELLED = """
    FROM samples s CROSS JOIN LATERAL unnest(s.text_ids, s.inclusion) WITH ORDINALITY AS u (text_id, inclusion, place)
    JOIN texts t ON t.id = u.text_id JOIN text_versions v ON v.id = t.current_version_id
    WHERE s.id = :sample AND NOT EXISTS (SELECT FROM annotations a WHERE a.text_id = t.id)
"""
_NEXT = text(
    f"""SELECT u.place, u.text_id, t.external_id, u.inclusion, left(v.content, 200) AS beginning {_UNLABELLED}
    AND u.place > :after ORDER BY u.place LIMIT :limit"""  # constants only
)
_LEFT = text(f"SELECT count(*) {_UNLABELLED}")  # constants only
_BEGINNINGS = text(_TEXTS.format(content="left(v.content, 200) AS beginning"))
_CONTENTS = text(_TEXTS.format(content="v.content"))
BLOCK = 1000


def elsewhere(
    session: AnySession, corpus_id: str, asked: SampleRequest, text_ids: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Texts that match the metadata and are in none of the excluded samples: bool (texts). Invalid for an unknown sample."""
    free = np.ones(len(text_ids), dtype=np.bool_)
    if asked.frame.metadata:
        wanted = {"corpus": corpus_id, "metadata": orjson.dumps(asked.frame.metadata).decode()}
        free &= np.isin(text_ids, np.fromiter(session.scalars(_MATCHING, wanted), dtype=np.int64))
    for place, name in enumerate(asked.frame.exclude_samples):
        sample = get_sample(session, corpus_id, name)
        if sample is None:
            raise Invalid(
                f"The corpus has no sample {name!r}.",
                field=f"/frame/exclude_samples/{place}",
                slug="unknown-sample",
            )
        free &= ~np.isin(text_ids, sample.text_ids)
    return free


def run_for(session: AnySession, corpus_id: str, run_id: str | None) -> RelabelRun | None:
    """A finished relabel run: the one named (Invalid when there is none), else the newest; None before the first."""
    query = select(RelabelRun).where(RelabelRun.corpus_id == corpus_id, RelabelRun.finished_at.is_not(None))
    if run_id is not None:
        query = query.where(RelabelRun.id == run_id)
    run = session.scalars(query.order_by(RelabelRun.finished_at.desc()).limit(1)).first()
    if run is None and run_id is not None:
        raise Invalid(f"The corpus has no finished relabel run {run_id!r}.", field="/run", slug="unknown-run")
    return run


def predicting_run(session: AnySession, corpus_id: str, run_id: str | None) -> RelabelRun:
    """`run_for`; Conflict before the first relabel run."""
    run = run_for(session, corpus_id, run_id)
    if run is None:
        raise Conflict(
            "No model has read the corpus yet, so none is unsure of anything: POST /relabel-jobs first, or choose another strategy.",
            field="/strategy",
            slug="no-predictions",
        )
    return run


def predicted(session: AnySession, run_id: str, version_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Texts whose present version the run has predicted: bool (texts)."""
    return np.isin(version_ids, np.fromiter(session.scalars(_PREDICTED, {"run": run_id}), dtype=np.int64))


def find_sample(session: AnySession, sample_id: str, caller: Principal) -> Sample:
    """A recorded sample; NotFound when there is none that the caller's key reaches."""
    sample = session.get(Sample, sample_id)
    if sample is None:
        raise NotFound(f"There is no sample {sample_id!r}.", field="sample_id")
    check_scope(caller, sample.corpus_id)
    return sample


def list_samples(
    session: AnySession, corpus_id: str, before: tuple[datetime, str] | None, limit: int
) -> Sequence[Sample]:
    """Samples of a corpus, newest first. before: (created_at, id) of the last one seen."""
    query = select(Sample).where(Sample.corpus_id == corpus_id)
    return session.scalars(newest_first(query, Sample.created_at, Sample.id, before, limit)).all()


def sampled_texts(session: AnySession, sample_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    """Texts of a sample after a place, in its order, with their beginnings."""
    asked = {"sample": sample_id, "after": after, "limit": limit}
    return session.execute(_BEGINNINGS, asked).mappings().all()


def unlabelled_texts(session: AnySession, sample_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    """Texts of a sample after a place that nobody has annotated, in its order, with their beginnings."""
    return session.execute(_NEXT, {"sample": sample_id, "after": after, "limit": limit}).mappings().all()


def unlabelled_count(session: AnySession, sample_id: str) -> int:
    """How many texts of a sample nobody has annotated."""
    return int(session.scalar(_LEFT, {"sample": sample_id}) or 0)


def sampled_blocks(session: AnySession, sample_id: str, *, with_text: bool) -> Iterator[Sequence[RowMapping]]:
    """All texts of a sample, a block at a time; `content` whole or its beginning."""
    after = 0
    while True:
        asked: dict[str, Any] = {"sample": sample_id, "after": after, "limit": BLOCK}
        found = session.execute(_CONTENTS if with_text else _BEGINNINGS, asked).mappings().all()
        if not found:
            return
        yield found
        after = found[-1]["place"]
