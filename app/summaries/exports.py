"""The summaries of a run as a stream: CSV for spreadsheets, JSON lines that lose nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fastapi.responses import Response
from sqlalchemy import select

from app.db.session import AnySession, reading
from app.db.tables import TextVersion
from app.http.files import Format, file_answer
from app.sheets import csv_block, json_block
from app.summaries.job_schemas import summary_answer
from app.summaries.queries import list_summaries

BLOCK = 200
"""Rows that are read and sent together: with their texts they are long."""
_COLUMNS = (
    "external_id", "text_id", "text_version", "summary", "words", "words_in_text", "strategy", "supported_share", "unsupported",
    "warnings", "error",
)  # fmt: skip


def empty(format: Format) -> Response:
    """The export where there is no run: a header alone, or nothing."""
    return file_answer(iter([csv_block([_COLUMNS])] if format == "csv" else []), format, "summaries")


def summaries(run_id: str, format: Format, filters: dict[str, Any], *, with_text: bool) -> Response:
    """The summaries of a run, streamed from a server-side cursor."""
    columns = (*_COLUMNS, "text") if with_text else _COLUMNS

    def blocks() -> Iterator[bytes]:
        if format == "csv":
            yield csv_block([columns])
        with reading() as session:
            found = list_summaries(session, run_id, **filters)
            while block := list(islice(found, BLOCK)):
                rows = [summary_answer(row).model_dump(mode="json") for row in block]
                if with_text:
                    _add_texts(session, [row.Summary.text_version_id for row in block], rows)
                yield (
                    json_block(rows)
                    if format == "jsonl"
                    else csv_block([_cells(row, columns) for row in rows])
                )

    return file_answer(blocks(), format, f"summaries-{run_id}")


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    found = (row["faithfulness"] or {}).get("unsupported", [])
    told = row | {
        "unsupported": "; ".join(f"{item['kind']}: {item['text']}" for item in found),
        "warnings": " ".join(row["details"].get("warnings", [])),
        "error": (row["error"] or {}).get("detail"),
    }
    return [told[column] for column in columns]


def _add_texts(session: AnySession, versions: list[int], rows: list[dict[str, Any]]) -> None:
    query = select(TextVersion.id, TextVersion.content).where(TextVersion.id.in_(versions))
    contents = {number: content for number, content in session.execute(query)}  # noqa: C416
    for number, row in zip(versions, rows, strict=True):
        row["text"] = contents[number]
