"""What annotators had said of the drawn texts when a sample was sealed, out of Postgres as votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import text

from app.audits.held import Given
from app.corpora.annotations import COLUMNS, by_question, copy_frame
from app.corpora.codebook import load_codebook
from app.corpora.rules import codebook_ranks, counting
from app.db.session import AnySession
from app.db.tables import AuditSample

# Of the content that is read, and known when the sample was sealed: what was imported later may have been written with its result in hand.
_ROWS: LiteralString = """
    COPY (
        SELECT a.text_id, a.question_id, a.annotator_id, a.codebook_version, array_to_string(a.values, '', '.'), a.team
        FROM audit_sample_texts s JOIN audit_samples u ON u.id = s.audit_sample_id JOIN text_versions r ON r.id = s.text_version_id
            JOIN annotations a ON a.text_id = s.text_id JOIN text_versions g ON g.id = a.text_version_id
        WHERE s.audit_sample_id = %(sample)s AND g.sha256 = r.sha256 AND a.created_at <= u.sealed_at
        ORDER BY a.annotated_at NULLS FIRST, a.id
    ) TO STDOUT (FORMAT csv)
"""
_NAMES = text("SELECT id, name FROM annotators WHERE corpus_id = :corpus")
_COLUMNS = COLUMNS | {"team": pl.String()}


def given_by_annotators(session: AnySession, sample: AuditSample, text_ids: NDArray[np.int64]) -> Given:
    """The values that counted towards the labels of the drawn texts, by annotator. text_ids: int64 (drawn,), in reading order."""
    codebook = load_codebook(session, sample.corpus_id)
    frame = copy_frame(session, _ROWS, {"sample": sample.id}, _COLUMNS).with_columns(
        pl.col("codebook_version").fill_null("")
    )
    found = counting(codebook.scheme, by_question(frame, codebook, text_ids))
    place = {option.key: option.position for option in codebook.scheme.options}
    columns = [place[key] for key in sample.option_keys]
    names = {row.id: row.name for row in session.execute(_NAMES, {"corpus": sample.corpus_id})}
    ranks = codebook_ranks(frame["codebook_version"].unique().to_list())
    return Given(
        rows=found.texts,
        annotators=[names[number] for number in found.annotators.tolist()],
        teams=_teams(frame, text_ids[found.texts], found.annotators),
        values=found.values[:, columns],
        versions=[name for name, rank in ranks.items() if rank in found.codebooks],
    )


def _teams(
    frame: pl.DataFrame, text_ids: NDArray[np.int64], annotators: NDArray[np.int64]
) -> Sequence[str | None]:
    """The team of every vote: an annotator's newest annotation of a text says it."""
    wanted = pl.DataFrame({"text_id": text_ids, "annotator_id": annotators})
    newest = frame.unique(("text_id", "annotator_id"), keep="last", maintain_order=True)
    found = wanted.join(newest, on=("text_id", "annotator_id"), how="left", maintain_order="left")
    teams: list[str | None] = found["team"].to_list()
    return teams
