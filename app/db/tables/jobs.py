"""Jobs, their numbered events, named leases and idempotency keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base, Created, Identifier


class Job(Base):
    """A piece of work. States: queued → running → succeeded | failed | cancelled; a lost lease takes running back to queued,
    a pause holds it until somebody resumes it.

    `fence` grows with every claim; whoever writes for the job checks it in the same transaction.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')", name="state"
        ),
        CheckConstraint("(state = 'running') = (lease_owner IS NOT NULL)", name="lease"),
        Index(
            "ix_jobs_open", "state", "lease_until", postgresql_where=text("state IN ('queued', 'running')")
        ),
        Index("ix_jobs_listing", "created_at", "id"),
    )
    id: Mapped[Identifier]
    corpus_id: Mapped[str | None] = mapped_column(ForeignKey("corpora.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    params: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    progress: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    """{"code": stable slug, "detail": words, …} of a failed job."""
    checkpoint: Mapped[dict[str, Any] | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    attempts_since_checkpoint: Mapped[int] = mapped_column(server_default="0")
    fence: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    pause_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    """Somebody wants the running attempt to end at its next checkpoint, and the job to wait."""
    last_event: Mapped[int] = mapped_column(server_default="0")
    created_by: Mapped[str | None]
    created_at: Mapped[Created]
    rung_at: Mapped[datetime | None]
    """When the dispatcher last rang Celery for it."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobEvent(Base):
    """Something that happened to a job; numbered without gaps under the job row's lock."""

    __tablename__ = "job_events"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    at: Mapped[Created]


class Lease(Base):
    """A named right that one process holds for a while: dispatcher leader, trainer on a device."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    until: Mapped[datetime]
    fence: Mapped[int] = mapped_column(BigInteger, server_default="1")


class IdempotencyKey(Base):
    """The answer given to a POST with an Idempotency-Key, so that a repeat gets it again."""

    __tablename__ = "idempotency_keys"
    api_key_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[str]
    status: Mapped[int | None]
    """None while the first request is in flight."""
    headers: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    body: Mapped[Any] = mapped_column(JSONB, nullable=True)
    created_at: Mapped[Created]
