"""Exports as streams: disagreements with their decisions, and corrected labels with their whole history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

from fastapi.responses import Response
from sqlalchemy import text

from app.corpora.codebook import load_codebook
from app.db.session import AnySession, reading
from app.http.files import Format, file_answer
from app.ids import numbered
from app.review import export_rows, listing
from app.review.filters import Filters
from app.review.listing import RankingRef
from app.review.rules import state_of
from app.sheets import csv_block, json_block

Layout = Literal["wide", "long"]

BLOCK = 1000
"""Rows that are read, computed and sent together."""

_COLUMNS = (
    "id", "ranking_id", "position", "external_id", "question", "option", "human_value", "model_value", "probability",
    "suspicion", "error_probability", "reason", "state", "review_value", "reviewer", "reviewed_at", "note", "metadata", "groups",
)  # fmt: skip


def empty(format: Format) -> Response:
    """The export of no disagreements: a header alone, or nothing."""
    return file_answer(iter([csv_block([_COLUMNS])] if format == "csv" else []), format, "disagreements")


def check(session: AnySession, ranking: RankingRef, chosen: Filters) -> None:
    """Find what is wrong with the filters before the answer begins."""
    listing.check_keys(load_codebook(session, ranking.corpus_id), chosen)


def disagreements(
    ranking: RankingRef, chosen: Filters, reader: str, format: Format, *, with_text: bool
) -> Response:
    """The disagreements of a ranking, streamed from a server-side cursor."""
    columns = (*_COLUMNS, "text") if with_text else _COLUMNS

    def blocks() -> Iterator[bytes]:
        if format == "csv":
            yield csv_block([columns])
        with reading() as session:
            found = listing.list_disagreements(session, ranking, chosen, reader, limit=None)
            while block := list(islice(found, BLOCK)):
                rows = [_row(row, ranking.id, reader) for row in block]
                if with_text:
                    _add_texts(session, [row.text_id for row in block], rows)
                yield (
                    json_block(rows)
                    if format == "jsonl"
                    else csv_block([[row[c] for c in columns] for row in rows])
                )

    return file_answer(blocks(), format, f"disagreements-{ranking.id}")


def corpus(
    session: AnySession, corpus_id: str, format: Format, layout: Layout, *, with_text: bool
) -> Response:
    """Corrected labels of a corpus, streamed; everything is computed block by block in one transaction."""
    load_codebook(session, corpus_id)  # a corpus without a scheme is a problem before the answer begins
    name, synthetic, sensitive = session.execute(
        text("SELECT name, synthetic, sensitive FROM corpora WHERE id = :id"), {"id": corpus_id}
    ).one()

    def blocks() -> Iterator[bytes]:
        with reading() as own:
            source = export_rows.Source.open(own, corpus_id, with_text=with_text)
            if format == "csv":
                yield csv_block([source.wide_header() if layout == "wide" else source.long_header()])
            wide = format == "csv" and layout == "wide"
            for block in source.texts(BLOCK, history=not wide):
                if format == "jsonl":
                    yield json_block(block.records())
                else:
                    yield csv_block(block.wide_rows() if layout == "wide" else block.long_rows())

    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or corpus_id
    return file_answer(
        blocks(),
        format,
        f"{stem}-{'sensitive-' if sensitive else ''}{'synthetic-' if synthetic else ''}labels",
    )


def _row(row: Any, ranking_id: str, reader: str) -> dict[str, Any]:
    """One line. Why a cell is in the queue is told once it is decided: a decoy that is known to be one is none any more."""
    return {
        "id": numbered("dis", row.id),
        "ranking_id": ranking_id,
        "position": row.position,
        "external_id": row.external_id,
        "question": row.question,
        "option": row.option,
        "human_value": row.human_value,
        "model_value": row.model_value,
        "probability": row.probability,
        "suspicion": row.suspicion,
        "error_probability": row.error_probability,
        "reason": row.reason if row.settled or row.reason == "finding" else None,
        "state": state_of(row.settled, row.claimed_by, reader),
        "review_value": row.review_value,
        "reviewer": row.reviewer,
        "reviewed_at": row.reviewed_at,
        "note": row.note,
        "metadata": row.metadata,
        "groups": row.groups,
    }


def _add_texts(session: AnySession, text_ids: list[int], rows: list[dict[str, Any]]) -> None:
    contents: dict[int, str] = {
        row.id: row.content
        for row in session.execute(
            text(
                "SELECT t.id, v.content FROM texts t JOIN text_versions v ON v.id = t.current_version_id WHERE t.id = ANY(:ids)"
            ),
            {"ids": text_ids},
        )
    }
    for text_id, row in zip(text_ids, rows, strict=True):
        row["text"] = contents[text_id]
