"""Annotations out of Postgres as arrays: one COPY for a whole corpus or for a few texts, no loop over rows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import numpy as np
import polars as pl
import psycopg
from numpy.typing import NDArray

from app.corpora.codebook import Codebook
from app.corpora.rules import Annotations, codebook_ranks, positions
from app.db.session import AnySession
from models.scheme import MISSING

_CODES = np.full(256, MISSING, dtype=np.int8)
_CODES[[ord(digit) for digit in "0123"]] = (0, 1, 2, 3)

COLUMNS: dict[str, pl.DataType] = {
    "text_id": pl.Int64(),
    "question_id": pl.Int64(),
    "annotator_id": pl.Int64(),
    "codebook_version": pl.String(),
    "values": pl.String(),
}
"""Of annotations as they are copied out of Postgres; who selects more columns puts them behind these."""
_SELECT: LiteralString = """
    COPY (
        SELECT a.text_id, a.question_id, a.annotator_id, a.codebook_version, array_to_string(a.values, '', '.')
        FROM annotations a JOIN texts t ON t.id = a.text_id
        WHERE t.corpus_id = %(corpus)s AND (%(texts)s::bigint[] IS NULL OR t.id = ANY(%(texts)s))
        ORDER BY a.annotated_at NULLS FIRST, a.id
    ) TO STDOUT (FORMAT csv)
"""


def load_annotations(
    session: AnySession, corpus_id: str, codebook: Codebook, text_ids: NDArray[np.int64], some: bool = False
) -> dict[str, Annotations]:
    """Annotations by question key, for `rules.consensus`.

    Args:
        text_ids: int64 (texts,): the corpus's texts in the order of the result's rows. Annotations of other texts are left out.
        some: `text_ids` is a small part of the corpus: ask for these only.
    """
    parameters = {"corpus": corpus_id, "texts": text_ids.tolist() if some else None}
    return by_question(copy_frame(session, _SELECT, parameters, COLUMNS), codebook, text_ids)


def by_question(
    frame: pl.DataFrame, codebook: Codebook, text_ids: NDArray[np.int64]
) -> dict[str, Annotations]:
    """Rows of annotations, oldest first, by question key."""
    order = np.argsort(text_ids)
    found: dict[str, Annotations] = {}
    if not len(text_ids):
        return found
    ranks = codebook_ranks(frame["codebook_version"].unique().to_list())
    for question in codebook.scheme.questions:
        part = frame.filter(pl.col("question_id") == codebook.question_ids[question.key])
        ids = part["text_id"].to_numpy()
        places = np.minimum(np.searchsorted(text_ids, ids, sorter=order), len(text_ids) - 1)
        rows = order[places]
        known = text_ids[rows] == ids
        found[question.key] = Annotations(
            texts=rows[known].astype(np.int64),
            annotators=part["annotator_id"].to_numpy()[known],
            codebooks=np.array([ranks[name] for name in part["codebook_version"]], dtype=np.int64)[known],
            values=decoded(part["values"], len(positions(question)))[known],
        )
    return found


def decoded(values: pl.Series, width: int) -> NDArray[np.int8]:
    """`01.2`-like strings as codes: int8 (rows, width); "." and what a short string lacks is MISSING."""
    joined = "".join(values.str.slice(0, width).str.pad_end(width, ".").to_list())
    return _CODES[np.frombuffer(joined.encode("ascii"), dtype=np.uint8)].reshape(len(values), width)


def copy_frame(
    session: AnySession,
    statement: LiteralString,
    parameters: Mapping[str, Any],
    columns: Mapping[str, pl.DataType],
) -> pl.DataFrame:
    """The rows of a `COPY (SELECT …) TO STDOUT (FORMAT csv)` in the session's own transaction; columns in the order given."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    with connection.cursor() as cursor, cursor.copy(statement, parameters) as rows:
        content = b"".join(bytes(block) for block in rows)
    if not content:
        return pl.DataFrame(schema=dict(columns))
    return pl.read_csv(
        io.BytesIO(content),
        has_header=False,
        new_columns=list(columns),
        schema_overrides=list(columns.values()),
    )


def text_rows(text_ids: Sequence[int]) -> NDArray[np.int64]:
    """Ids as the array that `load_annotations` takes."""
    return np.asarray(text_ids, dtype=np.int64)
