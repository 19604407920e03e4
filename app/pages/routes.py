"""Pages: the overview of corpora, the list of disagreements and the report of an adapter."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.corpora.codebook import load_codebook
from app.http.database import ReadDB
from app.http.security import Reader
from app.jobs.kinds import job_path
from app.pages import auditing, deciding, judging, next_texts, queries, summaries
from app.pages.browsing import browsing
from app.pages.render import page
from app.pages.reports import adapter_page
from app.review import listing
from app.review.views import listed

router = APIRouter(include_in_schema=False)
router.include_router(deciding.router)
router.include_router(next_texts.router)
router.include_router(judging.router)
router.include_router(auditing.router)
router.include_router(summaries.router)

PAGE_ITEMS = 25


@router.get("/")
def corpora(request: Request, caller: Reader, db: ReadDB) -> HTMLResponse:
    """Every corpus with what the last reading of it found, and the jobs."""
    cards = queries.overview(db, caller)
    return page(
        request,
        "corpora.html",
        caller,
        corpora=cards,
        jobs=queries.recent_jobs(db, caller),
        job_path=job_path,
    )


@router.get("/review")
def disagreements(
    request: Request, caller: Reader, db: ReadDB, after: Annotated[int, Query(ge=0, lt=2**31)] = 0
) -> HTMLResponse:
    """The disagreements of a corpus, without what the model or the annotators say."""
    chosen = browsing(request.query_params.multi_items())
    ranking = listing.find_ranking(db, chosen.filters, caller)
    corpus_id = ranking.corpus_id if ranking else listing.find_corpus(db, chosen.filters.corpus or "", caller)
    corpus = queries.corpus_row(db, corpus_id)
    if ranking is None:
        return page(request, "unread.html", caller, corpus=corpus)
    found = list(
        listing.list_disagreements(
            db, ranking, chosen.filters, caller.name, after=after, limit=PAGE_ITEMS + 1, blind=True
        )
    )
    rows, more = found[:PAGE_ITEMS], len(found) > PAGE_ITEMS
    held = chosen.of_ranking(ranking.id)
    return page(
        request,
        "list.html",
        caller,
        corpus=corpus,
        ranking=ranking,
        scheme=load_codebook(db, corpus_id).scheme,
        names=deciding.names_of(load_codebook(db, corpus_id).scheme),
        choices=queries.choices(db, corpus_id),
        counts=listing.count_states(db, ranking, chosen.filters, caller.name, blind=True),
        items=[listed(row, ranking, caller.name, blind=True) for row in rows],
        snippets=queries.snippets(db, [row.text_id for row in rows]),
        text_ids=[row.text_id for row in rows],
        chosen=chosen,
        held=held,
        after=after,
        more=rows[-1].position if more else None,
    )


@router.get("/reports/{adapter_id}")
def report(request: Request, adapter_id: str, caller: Reader, db: ReadDB) -> HTMLResponse:
    """An adapter's report: beside its baselines, option by option, with its curves and the gate's decisions."""
    return adapter_page(request, caller, db, adapter_id)
