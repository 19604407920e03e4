"""Where a generative train job finds its documents: a document set, or the corpus's texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from app.blobs import BlobStore
from app.db.session import AnySession
from app.db.tables import Corpus
from app.documents.queries import find_set, readable, state_of
from app.http.problems import Conflict, Invalid, NotFound
from app.training.folder import Source
from app.training.generative_rules import check_fields, pairs_of, settings_of, too_few
from app.training.generative_schemas import SummarizeSettings
from app.training.schemas import TrainJobRequest

_TEXTS = """
    FROM texts t JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus AND (CAST(:splits AS text[]) IS NULL OR t.given_split = ANY(CAST(:splits AS text[])))
      AND (CAST(:summary AS text) IS NULL OR t.metadata ->> CAST(:summary AS text) <> '')
"""
_SIZES = text(
    f"""SELECT t.external_id AS key, length(v.content) AS characters,
    coalesce(length(t.metadata ->> CAST(:summary AS text)), 0) AS summary_characters {_TEXTS} ORDER BY t.id"""
)
_ROWS = text(
    f"""SELECT t.external_id, v.content, t.groups ->> CAST(:fold_group AS text) AS "group",
    t.metadata ->> CAST(:summary AS text) AS summary {_TEXTS} ORDER BY t.id"""
)


@dataclass(frozen=True, slots=True)
class Sized:
    """How long a document is, and its summary where it has one."""

    key: str
    characters: int
    summary_characters: int = 0


def sized_documents(
    session: AnySession, blobs: BlobStore, corpus: Corpus, body: TrainJobRequest, least: int = 2
) -> list[Sized]:
    """The lengths of what `documents_of` gives, in the same order.

    Raises Invalid for a set or a field that is not there and when there are fewer than `least`, Conflict for a set that is
    still being read.
    """
    settings = settings_of(body)
    if settings.document_set is None:
        found = [Sized(*row) for row in session.execute(_SIZES, _parameters(corpus, body))]
    else:
        _found_set(session, corpus, body)
        found = (
            _sized_rows(session, blobs, settings)
            if isinstance(settings, SummarizeSettings)
            else [
                Sized(_key(file), file["characters"])
                for file in readable(session, settings.document_set, "document")
            ]
        )
    if len(found) < least:
        where = "document set" if settings.document_set else "corpus"
        advice = "add some, or look at GET /document-sets/{id} for what was refused"
        raise too_few(body, len(found), where, advice, least)
    return found


def documents_of(
    session: AnySession, blobs: BlobStore, corpus: Corpus, body: TrainJobRequest
) -> Iterator[Source]:
    """What is learned from, in a stable order. Raises as `sized_documents` for a set that is not there or not read."""
    settings = settings_of(body)
    if settings.document_set is None:
        for row in session.execute(_ROWS, _parameters(corpus, body) | {"fold_group": corpus.fold_group}):
            yield Source(row.external_id, row.content, row.group, row.summary)
        return
    _found_set(session, corpus, body)
    if isinstance(settings, SummarizeSettings):
        yield from _pairs(session, blobs, settings)
        return
    for file in readable(session, settings.document_set, "document"):
        content = blobs.path(file["text_blob"]).read_text(encoding="utf-8")
        yield Source(_key(file), content)


def _found_set(session: AnySession, corpus: Corpus, body: TrainJobRequest) -> Any:
    name = str(settings_of(body).document_set)
    field = f"/{body.task}/document_set"
    try:
        found = find_set(session, name, field=field)
    except NotFound:
        found = None
    if found is None or found["corpus_id"] != corpus.id:
        raise Invalid(
            f"The corpus {corpus.name!r} has no document set {name!r}: GET /document-sets lists them.",
            field=field,
            slug="unknown-document-set",
        )
    if state_of(found) != "ready":
        raise Conflict(
            f"The files of {name} have not all been read (state {state_of(found)}): GET /document-sets/{name} tells when they are.",
            field=field,
            slug="document-set-not-ready",
        )
    return found


def _sized_rows(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> list[Sized]:
    """Usable pairs; Invalid when there are none and rows lack a field that was named."""
    pairs = [
        Sized(pair.key, len(pair.content), len(pair.summary or ""))
        for pair in _pairs(session, blobs, settings)
    ]
    if pairs:
        return pairs
    check_fields(_rows(session, blobs, settings), settings)
    return []


def _pairs(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> Iterator[Source]:
    return pairs_of(_rows(session, blobs, settings), settings)


def _rows(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> Iterator[dict[str, str]]:
    for file in readable(session, str(settings.document_set), "rows"):
        with blobs.open(file["text_blob"]) as lines:
            for line in lines:
                yield json.loads(line)


def _key(file: dict[str, Any]) -> str:
    return f"{file['id']}:{file['filename']}"


def _parameters(corpus: Corpus, body: TrainJobRequest) -> dict[str, Any]:
    settings = settings_of(body)
    summary = settings.summary_field if isinstance(settings, SummarizeSettings) else None
    return {"corpus": corpus.id, "splits": body.splits, "summary": summary}
