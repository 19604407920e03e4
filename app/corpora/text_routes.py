"""/corpora/{id}/texts."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy.engine import RowMapping

from app.corpora.queries import corpus_for
from app.corpora.routes import CorpusRef
from app.corpora.schemas import (
    TextAnswer,
    TextDetail,
    TextListing,
    VersionAnswer,
)
from app.corpora.text_queries import get_text, list_texts, pairs, text_versions
from app.http.database import ReadDB
from app.http.documented import problems
from app.http.paging import Page, decode_cursor, encode_cursor
from app.http.problems import NotFound
from app.http.security import Reader
from app.ids import number_of, numbered

router = APIRouter(prefix="/corpora/{corpus_id}", tags=["corpora"])


@router.get("/texts", summary="List texts", responses=problems(404, 422))
def texts(
    corpus_id: CorpusRef, asked: Annotated[TextListing, Query()], caller: Reader, db: ReadDB
) -> Page[TextAnswer]:
    """Texts in the order of their import, filtered by external id, given split, metadata and grouping keys."""
    corpus = corpus_for(db, corpus_id, caller)
    kind = f"texts:{corpus.id}"
    found = list_texts(
        db,
        corpus.id,
        after=int(decode_cursor(asked.cursor, kind)[0]) if asked.cursor is not None else 0,
        limit=asked.limit + 1,
        external_id=asked.external_id,
        split=asked.split,
        metadata=json.dumps(pairs(asked.metadata, "metadata")),
        groups=json.dumps(pairs(asked.group, "group")),
    )
    page = found[: asked.limit]
    following = encode_cursor(kind, [page[-1]["id"]]) if len(found) > asked.limit else None
    return Page(items=[TextAnswer(**_fields(row)) for row in page], next_cursor=following)


@router.get("/texts/{text_id}", summary="One text", responses=problems(404))
def text_(
    corpus_id: CorpusRef,
    text_id: Annotated[str, Path(max_length=40, examples=["txt_42"])],
    caller: Reader,
    db: ReadDB,
) -> TextDetail:
    """A text with its content and the history of its versions."""
    corpus = corpus_for(db, corpus_id, caller)
    number = number_of("txt", text_id)
    row = get_text(db, corpus.id, number) if number is not None else None
    if row is None or number is None:
        raise NotFound(f"The corpus has no text {text_id!r}.", field="text_id")
    history = [VersionAnswer(**version) for version in text_versions(db, number)]
    return TextDetail(**_fields(row), content=row["content"], versions=history)


def _fields(row: RowMapping) -> dict[str, object]:
    return {
        **{name: row[name] for name in TextAnswer.model_fields if name != "id"},
        "id": numbered("txt", row["id"]),
    }
