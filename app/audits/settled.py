"""What closed audit samples found, for whoever calibrates or estimates by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.audits.cells import ReadCell, read_cells
from app.audits.frame import read_frame
from app.audits.readings import load_readings, shown_texts
from app.audits.settlement import settle
from app.blobs import BlobStore
from app.db.session import AnySession
from app.db.tables import AuditSample, SchemeVersion
from app.http.problems import Conflict, NotFound
from models.scheme import Labels, Scheme


@dataclass(frozen=True, slots=True)
class Settled:
    """A closed audit sample: what was drawn, with which probability, the given labels and the settled blind ones."""

    sample_id: str
    purpose: str
    """`totals`: the frame is every text with a given label; `stopping`: only what reviews had not decided."""
    snapshot_id: str
    run_id: str | None
    ranking_id: str | None
    option_keys: tuple[str, ...]
    """The options that were read, by position."""
    text_ids: NDArray[np.int64]
    """int64 (drawn,), in reading order."""
    text_version_ids: NDArray[np.int64]
    strata: NDArray[np.int64]
    """int64 (drawn,): places in `stratum_sizes`."""
    stratum_sizes: NDArray[np.int64]
    """int64 (strata,): N_h of the frame."""
    inclusion: NDArray[np.float64]
    """float64 (drawn,): π."""
    given: Labels
    """int8 (drawn, options): the snapshot's value, MISSING where it has none."""
    truth: Labels
    """int8 (drawn, options): the settled value, MISSING where skipped or not settled."""
    blind: NDArray[np.bool_]
    """bool (drawn,): nobody who read the text had been shown its labels or probabilities."""


def settled(session: AnySession, sample_id: str, blobs: BlobStore) -> Settled:
    """What a closed sample found, released or not; Conflict while it is still being read, NotFound when there is none."""
    sample = session.get(AuditSample, sample_id)
    if sample is None:
        raise NotFound(f"There is no audit sample {sample_id!r}.", field="audit_sample_id")
    if sample.state != "closed":
        raise Conflict(
            f"The audit sample {sample.name!r} is still being read: what it finds is told once it is closed.",
            slug="audit-sample-open",
        )
    frame = read_frame(blobs.path(sample.frame_blob))
    rows = frame.drawn
    readings = load_readings(session, sample, frame.text_ids[rows].tolist())
    return Settled(
        sample_id=sample.id,
        purpose=sample.purpose,
        snapshot_id=sample.snapshot_id,
        run_id=sample.run_id,
        ranking_id=sample.ranking_id,
        option_keys=tuple(sample.option_keys),
        text_ids=frame.text_ids[rows],
        text_version_ids=frame.text_version_ids[rows],
        strata=frame.stratum[rows].astype(np.int64),
        stratum_sizes=frame.sizes,
        inclusion=(frame.taken / frame.sizes)[frame.stratum[rows]],
        given=frame.given[rows],
        truth=settle(readings, cells_of(session, sample)),
        blind=~np.isin(frame.text_ids[rows], sorted(shown_texts(session, sample.id))),
    )


def closed_samples(session: AnySession, corpus_id: str, purpose: str | None = None) -> list[str]:
    """Ids of a corpus's closed audit samples, newest first; `purpose`: only those of `totals` or of `stopping`."""
    query = select(AuditSample.id).where(AuditSample.corpus_id == corpus_id, AuditSample.state == "closed")
    if purpose is not None:
        query = query.where(AuditSample.purpose == purpose)
    return list(session.scalars(query.order_by(AuditSample.closed_at.desc(), AuditSample.id.desc())))


def cells_of(session: AnySession, sample: AuditSample) -> tuple[ReadCell, ...]:
    """The cells that a sample reads, by the scheme version that it was drawn under."""
    document = session.scalars(
        select(SchemeVersion.document).where(
            SchemeVersion.corpus_id == sample.corpus_id, SchemeVersion.version == sample.scheme_version
        )
    ).one()
    return read_cells(Scheme.from_document(document), sample.option_keys)
