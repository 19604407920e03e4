"""Which jobs another job made: the trials of a search, and the train job that follows them."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import Base


class JobPart(Base):
    """A job made by another. Role and number are taken once, so that a search that is killed and goes on makes nothing twice."""

    __tablename__ = "job_parts"
    __table_args__ = (CheckConstraint("role IN ('trial', 'refit')", name="role"),)
    parent_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
