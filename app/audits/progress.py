"""How far the reading of audit samples is; never what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy.engine import RowMapping

from app.audits.answers import AuditProgress, ReaderProgress
from app.audits.queries import progress_rows
from app.db.session import AnySession
from app.db.tables import AuditSample


def progress(session: AnySession, sample: AuditSample) -> AuditProgress:
    """How far one sample is."""
    return progress_of(session, [sample])[sample.id]


def progress_of(session: AnySession, samples: Sequence[AuditSample]) -> dict[str, AuditProgress]:
    """How far each of several samples is, by id."""
    rows = progress_rows(session, [sample.id for sample in samples])
    by_sample = {sample_id: list(found) for sample_id, found in groupby(rows, key=lambda row: row["id"])}
    return {sample.id: _told(sample, by_sample[sample.id]) for sample in samples}


def _told(sample: AuditSample, rows: Sequence[RowMapping]) -> AuditProgress:
    people = [
        ReaderProgress(name=row["reader"], role=row["role"], read=row["read"], not_blind=row["not_blind"])
        for row in rows
        if row["reader"] is not None
    ]
    texts = int(sample.design["size"])
    return AuditProgress(
        texts=texts,
        unread=texts * sample.readers - sum(person.read for person in people if person.role == "reader"),
        disputes=rows[0]["disputes"] if sample.design["adjudicator"] else 0,
        people=people,
    )
