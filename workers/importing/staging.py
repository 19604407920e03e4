"""Rows into temporary tables by COPY, in chunks: memory stays flat however long the file is."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from app.db.session import WriteSession
from app.sheets import safe
from workers.importing.reading import Answer, LongCell, TextRow
from workers.importing.source import Rejected, Row

_CHUNK = 2000
_TABLES: tuple[LiteralString, ...] = (
    """CREATE TEMP TABLE stage_texts (line bigint NOT NULL, external_id text, content text NOT NULL, sha256 bytea NOT NULL,
        split text, groups jsonb NOT NULL, metadata jsonb NOT NULL) ON COMMIT DROP""",
    """CREATE TEMP TABLE stage_answers (line bigint NOT NULL, question smallint NOT NULL, annotator text NOT NULL, team text,
        codebook text NOT NULL, at timestamptz, vals smallint[] NOT NULL) ON COMMIT DROP""",
    """CREATE TEMP TABLE stage_long (line bigint NOT NULL, question smallint NOT NULL, annotator text NOT NULL, team text,
        codebook text NOT NULL, at timestamptz, place smallint, value smallint) ON COMMIT DROP""",
    "CREATE TEMP TABLE stage_rejected (line bigint NOT NULL, col text NOT NULL, reason text NOT NULL) ON COMMIT DROP",
)


@dataclass(slots=True)
class Staged:
    """What was staged."""

    rows: int = 0
    rejected: int = 0
    letters: dict[str, int] = field(default_factory=dict)


def driver(session: WriteSession) -> psycopg.Connection[Any]:
    """The psycopg connection under a session."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def stage(
    session: WriteSession,
    rows: Iterable[Row | Rejected],
    read: Callable[[Row], tuple[TextRow, list[Answer | LongCell]] | Rejected],
    watch: Callable[[int], None],
    see: Callable[[str], None],
) -> Staged:
    """Read every row and COPY what it holds into temporary tables that last until the transaction ends.

    watch: called with the number of rows after every chunk; see: called with the content of each text.
    """
    connection = driver(session)
    for statement in _TABLES:
        connection.execute(statement)
    found = Staged()
    for chunk in _chunks(rows):
        texts: list[TextRow] = []
        answers: list[Answer | LongCell] = []
        rejected: list[Rejected] = []
        for row in chunk:
            outcome = row if isinstance(row, Rejected) else read(row)
            if isinstance(outcome, Rejected):
                rejected.append(outcome)
            else:
                texts.append(outcome[0])
                answers += outcome[1]
                see(outcome[0].content)
        _copy(connection, texts, answers, rejected)
        found.rows += len(chunk)
        found.rejected += len(rejected)
        watch(found.rows)
    for table in ("stage_texts", "stage_answers", "stage_long"):
        connection.execute(f"ANALYZE {table}")
    return found


def write_rejected(session: WriteSession, path: Path) -> int:
    """Write the rejected rows as CSV (line, column, reason), in the order of their lines; gives their number."""
    number = 0
    with (
        path.open("w", encoding="utf-8", newline="") as file,
        driver(session).cursor("rejected_rows") as cursor,
    ):
        writer = csv.writer(file)
        writer.writerow(("line", "column", "reason"))
        cursor.execute("SELECT line, col, reason FROM stage_rejected ORDER BY line, col, reason")
        for line, column, reason in cursor:
            writer.writerow((line, safe(column), safe(reason)))
            number += 1
    return number


def _chunks(rows: Iterable[Row | Rejected]) -> Iterator[list[Row | Rejected]]:
    chunk: list[Row | Rejected] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _copy(
    connection: psycopg.Connection[Any],
    texts: Sequence[TextRow],
    answers: Sequence[Answer | LongCell],
    rejected: Sequence[Rejected],
) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY stage_texts FROM STDIN") as copy:
            for text in texts:
                copy.write_row(text)
        whole = [answer for answer in answers if isinstance(answer, Answer)]
        if whole:
            with cursor.copy("COPY stage_answers FROM STDIN") as copy:
                for answer in whole:
                    copy.write_row((*answer[:6], array_literal(answer.values)))
        if len(whole) < len(answers):
            with cursor.copy("COPY stage_long FROM STDIN") as copy:
                for cell in answers:
                    if isinstance(cell, LongCell):
                        copy.write_row(cell)
        if rejected:
            with cursor.copy("COPY stage_rejected FROM STDIN") as copy:
                for refusal in rejected:
                    copy.write_row((refusal.line, refusal.column, storable(refusal.reason)))


_LITERALS: dict[tuple[int | None, ...], str] = {}


def array_literal(values: tuple[int | None, ...]) -> str:
    """Postgres' spelling of an array of codes: `{1,0,NULL}`."""
    known = _LITERALS.get(values)
    if known is None:
        known = "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
        if len(_LITERALS) < 100_000:
            _LITERALS[values] = known
    return known


def storable(words: str) -> str:
    """Words without what Postgres cannot hold."""
    return words.replace("\x00", "").encode("utf-8", "replace").decode()
