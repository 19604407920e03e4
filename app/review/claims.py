"""Claims: a reviewer is at work on a cell, so that two do not collide unknowingly. They expire by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from app.db.session import AnySession, WriteSession
from app.http.problems import Conflict
from app.review.rules import CellKey

_TAKE = text(
    """INSERT INTO claims AS c (text_id, question_id, option_id, reviewer, expires_at)
    VALUES (:text_id, :question_id, :option_id, :reviewer, now() + make_interval(secs => :seconds))
    ON CONFLICT (text_id, question_id, option_id) DO UPDATE SET reviewer = excluded.reviewer, expires_at = excluded.expires_at
    WHERE c.reviewer = excluded.reviewer OR c.expires_at <= now() OR :force
    RETURNING reviewer, expires_at"""
)
_LIVE = text(
    """SELECT reviewer, expires_at FROM claims WHERE text_id = :text_id AND question_id = :question_id
    AND option_id IS NOT DISTINCT FROM CAST(:option_id AS bigint) AND expires_at > now()"""
)
_END = text(
    """DELETE FROM claims WHERE text_id = :text_id AND question_id = :question_id
    AND option_id IS NOT DISTINCT FROM CAST(:option_id AS bigint) AND (reviewer = :reviewer OR :force)"""
)


@dataclass(frozen=True, slots=True)
class LiveClaim:
    """Who works on a cell, and until when."""

    reviewer: str
    expires_at: datetime


def take(
    session: WriteSession, cell: CellKey, reviewer: str, minutes: float, *, force: bool = False
) -> LiveClaim:
    """Claim a cell or renew one's own claim, in one statement; Conflict names whoever holds it, unless `force`."""
    parameters = {**cell.parameters(), "reviewer": reviewer, "seconds": minutes * 60, "force": force}
    row = session.execute(_TAKE, parameters).first()
    if row is None:
        check_free(session, cell, reviewer)
        row = session.execute(
            _TAKE, parameters
        ).one()  # the claim in the way ended between the two statements
    return LiveClaim(row.reviewer, row.expires_at)


def live(session: AnySession, cell: CellKey) -> LiveClaim | None:
    """The claim in force on a cell."""
    row = session.execute(_LIVE, cell.parameters()).first()
    return None if row is None else LiveClaim(row.reviewer, row.expires_at)


def check_free(session: AnySession, cell: CellKey, reviewer: str) -> None:
    """Conflict, naming who and until when, when another reviewer's claim is in force."""
    claim = live(session, cell)
    if claim is not None and claim.reviewer != reviewer:
        raise Conflict(
            f"{claim.reviewer} is at work on this until {claim.expires_at:%H:%M} UTC. Take another, wait, or repeat with force=true.",
            slug="claimed",
            claimed_by=claim.reviewer,
            claimed_until=claim.expires_at.isoformat(),
        )


def end(session: WriteSession, cell: CellKey, reviewer: str, *, force: bool = False) -> bool:
    """End one's own claim (with `force` anybody's); whether there was one."""
    ended = session.execute(_END, {**cell.parameters(), "reviewer": reviewer, "force": force})
    return bool(ended.rowcount)  # type: ignore[attr-defined]  # SQLAlchemy types DML results loosely
