"""Pages of what an audit tells: findings, the reviewer's budget, how often the model is followed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from app.corpora.codebook import load_codebook
from app.corpora.queries import corpus_for
from app.http.database import ReadDB, WriteDB
from app.http.security import Reader
from app.pages import queries
from app.pages.charts import area_chart
from app.pages.deciding import names_of
from app.pages.render import page
from app.relabelling.queries import newest_ranking
from app.relabelling.schemas import (
    BudgetAnswer,
    BudgetPoint,
    budget_answer,
    calibration_answer,
    is_calibrated,
)
from app.review import findings, listing, sightings
from app.review.audit_routes import votes_of
from app.review.filters import Filters
from app.review.finding_schemas import finding_answer
from app.review.findings import Kind, OpenOrAll
from app.review.following import differences, groups

router = APIRouter(include_in_schema=False)
PAGE_ITEMS = 25
TABLE_ROWS = 12
"""Of the budget's curve."""
CorpusRef = Annotated[str, Query(max_length=300)]


@router.get("/findings")
def findings_page(
    request: Request,
    caller: Reader,
    db: WriteDB,
    corpus: CorpusRef,
    kind: Annotated[Kind | None, Query()] = None,
    state: Annotated[OpenOrAll, Query()] = "open",
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> HTMLResponse:
    """Labels that cannot be right together; whoever sees them does not decide those texts blind."""
    found = corpus_for(db, corpus, caller, "corpus")
    ranking = listing.find_ranking(db, Filters(corpus=found.id), caller)
    if ranking is None:
        return page(request, "unread.html", caller, corpus=queries.corpus_row(db, found.id))
    rows = findings.list_findings(db, ranking, kind, state, caller.name, after=after, limit=PAGE_ITEMS + 1)
    shown = rows[:PAGE_ITEMS]
    texts = sorted({number for row in shown for number in row.texts})
    sightings.record_texts(db, caller, found.id, texts)
    return page(
        request,
        "findings.html",
        caller,
        corpus=found,
        ranking=ranking,
        counts=findings.count_findings(db, ranking.id),
        items=[finding_answer(row, caller.name) for row in shown],
        text_ids=[row.row.text_id for row in shown],
        snippets=queries.snippets(db, texts),
        names=names_of(load_codebook(db, found.id).scheme),
        kind=kind,
        state=state,
        after=after,
        more=shown[-1].row.position if len(rows) > PAGE_ITEMS else None,
    )


@router.get("/budget")
def budget_page(request: Request, caller: Reader, db: ReadDB, corpus: CorpusRef) -> HTMLResponse:
    """Review the top K, find about N; or why nothing can be foretold yet."""
    found = corpus_for(db, corpus, caller, "corpus")
    ranking = newest_ranking(db, found.id)
    if ranking is None:
        return page(request, "unread.html", caller, corpus=queries.corpus_row(db, found.id))
    answer = budget_answer(ranking) if is_calibrated(ranking) else None
    return page(
        request,
        "budget.html",
        caller,
        corpus=found,
        ranking=ranking,
        calibration=calibration_answer(ranking),
        budget=answer,
        chart=None if answer is None else _chart(answer),
        rows=[] if answer is None else _few(answer.points),
    )


@router.get("/following")
def following_page(request: Request, caller: Reader, db: ReadDB, corpus: CorpusRef) -> HTMLResponse:
    """How often reviewers follow the model, blind and not, at flags and at decoys."""
    found = corpus_for(db, corpus, caller, "corpus")
    votes = votes_of(db, found.id)
    return page(
        request,
        "following.html",
        caller,
        corpus=found,
        groups=groups(votes),
        differences=differences(votes),
    )


def _chart(budget: BudgetAnswer) -> Markup:
    points = [(float(p.reviewed), p.low, p.found, p.high) for p in budget.points]
    return area_chart(
        [(0.0, 0.0, 0.0, 0.0), *points],
        "labels reviewed",
        "wrong ones found",
        "Wrong labels found by number of labels reviewed",
    )


def _few(points: Sequence[BudgetPoint]) -> list[BudgetPoint]:
    """Some of the points, the last among them."""
    step = max(1, len(points) // TABLE_ROWS)
    return [*points[len(points) % step :: step][:-1], points[-1]] if points else []
