"""Findings in SQL: broken dependencies and duplicates labelled differently, with the cells that a person can decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.engine import Row

from app.db.session import AnySession
from app.review import listing
from app.review.listing import RankingRef

Kind = Literal["violation", "conflict"]
OpenOrAll = Literal["open", "all"]

# Decided: by a decision in force. Whether it still speaks of this text is told cell by cell.
_LIST = text(
    """SELECT f.*, t.external_id, o.external_id AS other_external_id
    FROM findings f JOIN texts t ON t.id = f.text_id LEFT JOIN texts o ON o.id = f.other_text_id
    WHERE f.ranking_id = :ranking AND f.position > :after AND (CAST(:kind AS text) IS NULL OR f.kind = :kind)
        AND (:everything OR EXISTS (
            SELECT FROM disagreements d WHERE d.id = ANY(f.disagreements) AND NOT EXISTS (
                SELECT FROM reviews r WHERE r.text_id = d.text_id AND r.question_id = d.question_id
                    AND r.option_id IS NOT DISTINCT FROM d.option_id AND r.undoes IS NULL
                    AND NOT EXISTS (SELECT FROM reviews u WHERE u.undoes = r.id))))
    ORDER BY f.position LIMIT :limit"""
)
_COUNTS = text("SELECT kind, count(*) AS found FROM findings WHERE ranking_id = :ranking GROUP BY kind")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding and the rows of its cells, as the listing of disagreements gives them."""

    row: Row[Any]
    cells: list[Row[Any]]

    @property
    def texts(self) -> list[int]:
        """Numbers of the texts whose values it tells."""
        return [number for number in (self.row.text_id, self.row.other_text_id) if number is not None]


def list_findings(
    session: AnySession,
    ranking: RankingRef,
    kind: Kind | None,
    state: OpenOrAll,
    reader: str,
    *,
    after: int = 0,
    limit: int = 50,
) -> list[FindingRow]:
    """Findings of a ranking by position. after: position of the last one already seen."""
    rows = session.execute(
        _LIST,
        {"ranking": ranking.id, "after": after, "kind": kind, "everything": state == "all", "limit": limit},
    ).all()
    cells = _cells(session, ranking, rows, reader)
    return [FindingRow(row, [cells[number] for number in row.disagreements]) for row in rows]


def count_findings(session: AnySession, ranking_id: str) -> dict[str, int]:
    """Number of findings of a ranking by kind."""
    return {row.kind: row.found for row in session.execute(_COUNTS, {"ranking": ranking_id})}


def _cells(
    session: AnySession, ranking: RankingRef, rows: Sequence[Row[Any]], reader: str
) -> dict[int, Row[Any]]:
    wanted = [number for row in rows for number in row.disagreements]
    return {row.id: row for row in listing.rows_of(session, ranking, wanted, reader)} if wanted else {}
