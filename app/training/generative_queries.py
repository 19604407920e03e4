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
from app.training.generative_rules import settings_of
from app.training.generative_schemas import SummarizeSettings
from app.training.schemas import TrainJobRequest

_TEXTS = """
    FROM texts t JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus AND (CAST(:splits AS text[]) IS NULL OR t.given_split = ANY(CAST(:splits AS text[])))
      AND (CAST(:summary AS text) IS NULL OR t.metadata ->> CAST(:summary AS text) <> '')
"""
_COUNT = text(
    f"SELECT count(*) AS documents, coalesce(sum(length(v.content)), 0)::bigint AS characters {_TEXTS}"
)
_ROWS = text(
    f"""SELECT t.external_id, v.content, t.groups ->> CAST(:fold_group AS text) AS "group",
    t.metadata ->> CAST(:summary AS text) AS summary {_TEXTS} ORDER BY t.id"""
)


@dataclass(frozen=True, slots=True)
class Source:
    """A document to learn from."""

    key: str
    content: str
    group: str | None
    summary: str | None


def count_documents(
    session: AnySession, blobs: BlobStore, corpus: Corpus, body: TrainJobRequest
) -> tuple[int, int]:
    """Documents (or pairs) and their characters.

    Raises Invalid for a set or a field that is not there and when there are fewer than two, Conflict for a set that is still
    being read.
    """
    settings = settings_of(body)
    if settings.document_set is None:
        row = session.execute(_COUNT, _parameters(corpus, body)).one()
        documents, characters = row.documents, row.characters
    else:
        found = _found_set(session, corpus, body)
        documents, characters = found["documents"], found["characters"]
        if isinstance(settings, SummarizeSettings):
            documents, characters = _count_rows(session, blobs, settings)
    if documents < 2:
        raise Invalid(
            _too_few(body, documents),
            field=f"/{body.task}",
            slug="no-documents" if not documents else "too-few-documents",
        )
    return documents, characters


def documents_of(
    session: AnySession, blobs: BlobStore, corpus: Corpus, body: TrainJobRequest
) -> Iterator[Source]:
    """What is learned from, in a stable order. Raises as `count_documents` for a set that is not there or not read."""
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
        yield Source(f"{file['id']}:{file['filename']}", content, None, None)


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


def _count_rows(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> tuple[int, int]:
    """Usable pairs; Invalid when rows lack a field that was named."""
    documents = characters = 0
    for pair in _pairs(session, blobs, settings):
        documents += 1
        characters += len(pair.content)
    if documents:
        return documents, characters
    for row in _rows(session, blobs, settings):
        for name in ("text_field", "summary_field"):
            if getattr(settings, name) not in row:
                raise Invalid(
                    f"Rows have no field {getattr(settings, name)!r}; the first has {', '.join(list(row)[:20])}.",
                    field=f"/summarize/{name}",
                    slug="unknown-field",
                )
    return 0, 0


def _pairs(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> Iterator[Source]:
    for number, row in enumerate(_rows(session, blobs, settings)):
        content, summary = row.get(settings.text_field, ""), row.get(settings.summary_field, "")
        if content.strip() and summary.strip():
            key = row.get(settings.id_field) or f"row-{number}"
            yield Source(key, content, row.get(settings.group_field), summary)


def _rows(session: AnySession, blobs: BlobStore, settings: SummarizeSettings) -> Iterator[dict[str, str]]:
    for file in readable(session, str(settings.document_set), "rows"):
        with blobs.open(file["text_blob"]) as lines:
            for line in lines:
                yield json.loads(line)


def _parameters(corpus: Corpus, body: TrainJobRequest) -> dict[str, Any]:
    settings = settings_of(body)
    summary = settings.summary_field if isinstance(settings, SummarizeSettings) else None
    return {"corpus": corpus.id, "splits": body.splits, "summary": summary}


def _too_few(body: TrainJobRequest, documents: int) -> str:
    what = "document" if body.task == "causal" else "pair of text and summary"
    where = "document set" if settings_of(body).document_set else "corpus"
    return (
        f"The {where} has {documents or 'no'} {what} that can be trained on, and training and measuring need at least two: add some, or "
        "look at GET /document-sets/{id} for what was refused."
    )
