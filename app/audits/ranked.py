"""SQL of what a ranking says of the texts that an audit sample is drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text

from app.audits.cells import ReadCell
from app.db.session import AnySession
from app.db.tables import Ranking

_SUSPICIONS = text("SELECT text_version_id, suspicion FROM suspicions WHERE ranking_id = :ranking")


def newest_ranking(session: AnySession, corpus_id: str) -> Ranking | None:
    """The corpus's newest ranking; None before the first relabelling."""
    query = select(Ranking).where(Ranking.corpus_id == corpus_id)
    return session.scalars(query.order_by(Ranking.created_at.desc(), Ranking.id.desc()).limit(1)).first()


def suspicions(
    session: AnySession, ranking: Ranking | None, version_ids: NDArray[np.int64], cells: Sequence[ReadCell]
) -> NDArray[np.float32]:
    """Suspicion of these text versions: float32 (texts, cells), NaN where the ranking has none."""
    found = np.full((len(version_ids), len(cells)), np.nan, dtype=np.float32)
    if ranking is None:
        return found
    places = {(question, option): place for place, (question, option) in enumerate(ranking.cells)}
    columns = [places.get((cell.question, cell.option)) for cell in cells]
    row_of = {int(version): row for row, version in enumerate(version_ids)}
    for version, values in session.execute(_SUSPICIONS, {"ranking": ranking.id}):
        row = row_of.get(version)
        if row is not None:
            found[row] = [np.nan if at is None or values[at] is None else values[at] for at in columns]
    return found
