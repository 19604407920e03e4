"""SQL of blind readings: those that count, as arrays in reading order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from app.audits.settlement import Readings
from app.db.session import AnySession
from app.db.tables import AuditSample
from models.scheme import MISSING, Labels

_COUNTING = text(
    """SELECT DISTINCT ON (r.text_id, r.reader, r.role) r.text_id, r.reader, r.role, r.values, r.shown, r.note, r.at
    FROM audit_readings r WHERE r.audit_sample_id = :sample ORDER BY r.text_id, r.reader, r.role, r.id DESC"""
)
_SEATS = text(
    """SELECT role, reader FROM audit_readings WHERE audit_sample_id = :sample GROUP BY role, reader ORDER BY min(id)"""
)


@dataclass(frozen=True, slots=True)
class Seats:
    """Who reads a sample: whoever was first to hand in a reading takes a seat and keeps it."""

    readers: tuple[str, ...]
    adjudicator: str | None


def seats(session: AnySession, sample_id: str) -> Seats:
    """The people who have read so far, in the order in which they began."""
    rows = session.execute(_SEATS, {"sample": sample_id}).all()
    readers = tuple(reader for role, reader in rows if role == "reader")
    return Seats(readers, next((reader for role, reader in rows if role == "adjudicator"), None))


def counting_rows(session: AnySession, sample_id: str) -> Sequence[RowMapping]:
    """The newest reading of each text by each person in each role."""
    return session.execute(_COUNTING, {"sample": sample_id}).mappings().all()


def shown_texts(session: AnySession, sample_id: str) -> set[int]:
    """Text ids of which a reading that counts was not blind: its reader had been shown labels or probabilities of the text."""
    return {row["text_id"] for row in counting_rows(session, sample_id) if row["shown"]}


def load_readings(session: AnySession, sample: AuditSample, text_ids: Sequence[int]) -> Readings:
    """The readings that count of the drawn texts, in their order."""
    place = {int(text_id): row for row, text_id in enumerate(text_ids)}
    people = seats(session, sample.id)
    chairs: list[tuple[str, str | None]] = [("reader", name) for name in people.readers]
    chairs += [("reader", None)] * (sample.readers - len(people.readers))
    chairs.append(("adjudicator", people.adjudicator))
    shape = (len(place), len(sample.option_keys))
    values: list[Labels] = [np.full(shape, MISSING, dtype=np.int8) for _ in chairs]
    read = np.zeros((len(place), len(chairs)), dtype=np.bool_)
    for row in counting_rows(session, sample.id):
        chair = chairs.index((row["role"], row["reader"]))
        at = place[row["text_id"]]
        values[chair][at] = [MISSING if value is None else value for value in row["values"]]
        read[at, chair] = True
    adjudicator = values[-1] if people.adjudicator is not None else None
    return Readings(tuple(values[:-1]), adjudicator, read[:, :-1], read[:, -1])
