"""Page: the next texts to label, which are those of a corpus's newest sample that nobody has labelled yet."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.corpora.queries import corpus_for
from app.corpora.sample_queries import list_samples, unlabelled_count, unlabelled_texts
from app.corpora.sample_schemas import sample_summary
from app.http.database import ReadDB
from app.http.problems import NotFound
from app.http.security import Reader
from app.ids import numbered
from app.pages.render import page

router = APIRouter(include_in_schema=False)
PAGE_ITEMS = 50


@router.get("/next-texts")
def next_texts(
    request: Request,
    caller: Reader,
    db: ReadDB,
    corpus: Annotated[str, Query(max_length=200)],
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> HTMLResponse:
    """Texts of the newest sample without any annotation, in its order, with the chance that the design gave each."""
    found = corpus_for(db, corpus, caller, "corpus")
    newest = list_samples(db, found.id, None, 1)
    if not newest:
        raise NotFound(
            f"No sample has been drawn of {found.name!r} yet: remand sample {found.name} --size 200 --labels unlabelled.",
            field="corpus",
        )
    rows = list(unlabelled_texts(db, newest[0].id, after, PAGE_ITEMS + 1))
    return page(
        request,
        "next_texts.html",
        caller,
        corpus=found,
        sample=sample_summary(newest[0]),
        left=unlabelled_count(db, newest[0].id),
        items=[dict(row) | {"number": numbered("txt", row["text_id"])} for row in rows[:PAGE_ITEMS]],
        after=after,
        more=rows[PAGE_ITEMS - 1]["place"] if len(rows) > PAGE_ITEMS else None,
    )
