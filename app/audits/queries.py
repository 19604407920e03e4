"""SQL of audit samples: find, list, progress, texts to read, readings, closing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping

from app.db.paging import newest_first
from app.db.session import AnySession, WriteSession
from app.db.tables import AuditLook, AuditReading, AuditSample, SchemeVersion
from app.http.problems import NotFound
from app.http.security import Principal, check_scope
from models.scheme import Scheme

# of several samples at once; two readers who differ in any value are in dispute until an adjudicator has read later than both
_PROGRESS = text(
    """WITH counted AS (
        SELECT audit_sample_id, reader, role, count(DISTINCT text_id) AS read, min(id) AS first,
            count(DISTINCT text_id) FILTER (WHERE cardinality(shown) > 0) AS not_blind
        FROM audit_readings WHERE audit_sample_id = ANY(:samples) GROUP BY audit_sample_id, reader, role
    ), newest AS (
        SELECT DISTINCT ON (audit_sample_id, text_id, reader) audit_sample_id, text_id, id, values FROM audit_readings
        WHERE audit_sample_id = ANY(:samples) AND role = 'reader' ORDER BY audit_sample_id, text_id, reader, id DESC
    ), argued AS (
        SELECT audit_sample_id, text_id, max(id) AS last FROM newest GROUP BY audit_sample_id, text_id
        HAVING count(*) = 2 AND count(DISTINCT values) = 2
    ), waiting AS (
        SELECT audit_sample_id, count(*) AS texts FROM argued g WHERE NOT EXISTS (
            SELECT FROM audit_readings a WHERE a.audit_sample_id = g.audit_sample_id AND a.text_id = g.text_id AND a.role = 'adjudicator'
                AND a.id > g.last) GROUP BY audit_sample_id
    )
    SELECT s.id, c.reader, c.role, c.read, c.not_blind, coalesce(w.texts, 0) AS disputes
    FROM unnest(CAST(:samples AS text[])) AS s(id) LEFT JOIN counted c ON c.audit_sample_id = s.id LEFT JOIN waiting w ON w.audit_sample_id = s.id
    ORDER BY s.id, c.first"""
)
_TEXT = """
    SELECT s.text_id, s.text_version_id, s.reading_order, t.external_id, v.content
    FROM audit_sample_texts s JOIN texts t ON t.id = s.text_id JOIN text_versions v ON v.id = s.text_version_id
    WHERE s.audit_sample_id = :sample
"""
_UNREAD = text(
    f"""{_TEXT} AND NOT EXISTS (SELECT FROM audit_readings r WHERE r.audit_sample_id = :sample AND r.text_id = s.text_id
        AND r.role = 'reader' AND r.reader = :reader)
    ORDER BY s.reading_order LIMIT 1"""  # constants only
)
_ONE = text(f"{_TEXT} AND s.text_id = :text")  # constants only
# newest reading of each reader, and whether the adjudicator has read since
_PAIRS = text(
    """SELECT s.text_id, s.reading_order, array_agg(r.reader ORDER BY r.reader) AS readers, jsonb_agg(r.values ORDER BY r.reader) AS values,
        coalesce((SELECT max(a.id) FROM audit_readings a WHERE a.audit_sample_id = :sample AND a.text_id = s.text_id
            AND a.role = 'adjudicator'), 0) > max(r.id) AS adjudicated
    FROM audit_sample_texts s JOIN LATERAL (
        SELECT DISTINCT ON (reader) id, reader, values FROM audit_readings
        WHERE audit_sample_id = :sample AND text_id = s.text_id AND role = 'reader' ORDER BY reader, id DESC) r ON true
    WHERE s.audit_sample_id = :sample AND (CAST(:text AS bigint) IS NULL OR s.text_id = :text)
    GROUP BY s.text_id, s.reading_order HAVING count(*) = 2 ORDER BY s.reading_order"""
)
_OWN = text(
    """SELECT values, note FROM audit_readings WHERE audit_sample_id = :sample AND text_id = :text AND reader = :reader AND role = :role
    ORDER BY id DESC LIMIT 1"""
)
_SKIP_UNREAD = text(
    """UPDATE audit_sample_texts s SET skipped_at = now() WHERE s.audit_sample_id = :sample AND (
        SELECT count(DISTINCT r.reader) FROM audit_readings r
        WHERE r.audit_sample_id = :sample AND r.text_id = s.text_id AND r.role = 'reader') < :readers"""
)
_EARLIER_PLANS = text(
    """SELECT count(*) FROM audit_samples p LEFT JOIN audit_samples f ON f.id = :plan
    WHERE p.corpus_id = :corpus AND p.id = p.plan_id AND (f.id IS NULL OR (p.sealed_at, p.id) < (f.sealed_at, f.id))"""
)
_DRAWN = text(
    """SELECT s.text_id FROM audit_sample_texts s JOIN audit_samples a ON a.id = s.audit_sample_id
    WHERE a.id = :sample AND a.corpus_id = :corpus"""
)


def find_audit_sample(
    session: AnySession, reference: str, caller: Principal, *, lock: bool = False
) -> AuditSample:
    """An audit sample by id; NotFound when there is none that the caller's key reaches. With `lock` readings and closing follow one another."""
    sample = session.get(
        AuditSample, reference, with_for_update={"key_share": True} if lock else None, populate_existing=lock
    )
    if sample is None:
        raise NotFound(f"There is no audit sample {reference[:60]!r}.", field="audit_sample_id")
    check_scope(caller, sample.corpus_id)
    return sample


def list_audit_samples(
    session: AnySession, corpus_id: str | None, before: tuple[datetime, str] | None, limit: int
) -> Sequence[AuditSample]:
    """Audit samples, newest first; corpus_id None: of every corpus. before: (sealed_at, id) of the last one seen."""
    query = select(AuditSample)
    if corpus_id is not None:
        query = query.where(AuditSample.corpus_id == corpus_id)
    return session.scalars(newest_first(query, AuditSample.sealed_at, AuditSample.id, before, limit)).all()


def scheme_of(session: AnySession, sample: AuditSample) -> Scheme:
    """The codebook that a sample is read by: the one of its draw."""
    document = session.scalars(
        select(SchemeVersion.document).where(
            SchemeVersion.corpus_id == sample.corpus_id, SchemeVersion.version == sample.scheme_version
        )
    ).one()
    return Scheme.from_document(document)


def progress_rows(session: AnySession, sample_ids: Sequence[str]) -> Sequence[RowMapping]:
    """How far samples are, in one query: id, disputes that wait, and reader, role, read, not_blind of each person in the order in which they began.

    A sample that nobody has read is one row without a reader.
    """
    return session.execute(_PROGRESS, {"samples": list(sample_ids)}).mappings().all()


def people(session: AnySession, sample_id: str) -> list[RowMapping]:
    """Who has read how many texts of a sample: reader, role, read, not_blind, in the order in which they began."""
    return [row for row in progress_rows(session, [sample_id]) if row["reader"] is not None]


def next_unread(session: AnySession, sample_id: str, reader: str) -> RowMapping | None:
    """The first text in reading order that this reader has not read."""
    return session.execute(_UNREAD, {"sample": sample_id, "reader": reader}).mappings().first()


def sampled_text(session: AnySession, sample_id: str, text_id: int | None) -> RowMapping:
    """One text of a sample as it was drawn; NotFound when it was not."""
    found = session.execute(_ONE, {"sample": sample_id, "text": text_id}).mappings().first()
    if found is None:
        raise NotFound("The audit sample has no such text.", field="text_id")
    return found


def read_pairs(session: AnySession, sample_id: str, text_id: int | None = None) -> Sequence[RowMapping]:
    """Texts that both readers have read, in reading order: text_id, values (two arrays), adjudicated since."""
    return session.execute(_PAIRS, {"sample": sample_id, "text": text_id}).mappings().all()


def own_reading(
    session: AnySession, sample_id: str, text_id: int, reader: str, role: str
) -> RowMapping | None:
    """What this person last said of a text in this role: values, note."""
    asked = {"sample": sample_id, "text": text_id, "reader": reader, "role": role}
    return session.execute(_OWN, asked).mappings().first()


def add_reading(session: WriteSession, sample_id: str, place: RowMapping, **columns: Any) -> None:
    """Append a reading of a text."""
    session.add(
        AuditReading(
            audit_sample_id=sample_id,
            text_id=place["text_id"],
            text_version_id=place["text_version_id"],
            **columns,
        )
    )
    session.flush()


def mark_unread_as_skipped(session: WriteSession, sample: AuditSample) -> None:
    """Write down which texts were declared skipped without every reader having read them."""
    session.execute(_SKIP_UNREAD, {"sample": sample.id, "readers": sample.readers})


def look_of(session: AnySession, sample_id: str) -> AuditLook | None:
    """The look that was taken when the sample was closed."""
    return session.scalars(select(AuditLook).where(AuditLook.audit_sample_id == sample_id)).first()


def plan_samples(session: AnySession, plan_id: str) -> Sequence[AuditSample]:
    """The samples of a stopping plan by look."""
    return session.scalars(
        select(AuditSample).where(AuditSample.plan_id == plan_id).order_by(AuditSample.look)
    ).all()


def earlier_plans(session: AnySession, corpus_id: str, plan_id: str | None) -> int:
    """Stopping plans that were declared before this one, or so far; closed or given up, each was a chance to stop."""
    return session.scalar(_EARLIER_PLANS, {"corpus": corpus_id, "plan": plan_id}) or 0


def audited_texts(session: AnySession, corpus_id: str, sample_id: str) -> list[int]:
    """Text ids of a corpus's audit sample; empty when it has no such sample."""
    return list(session.scalars(_DRAWN, {"sample": sample_id, "corpus": corpus_id}))
