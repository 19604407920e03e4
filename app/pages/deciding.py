"""The page of one disagreement: read blind, vote, see what model and annotators say, keep or change, go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.db.session import WriteSession
from app.http.database import WriteDB
from app.http.etags import require_match
from app.http.problems import Conflict, NotFound, PreconditionFailed, Problem
from app.http.security import Principal, Reader, Reviewer
from app.ids import numbered
from app.pages import explaining, queries
from app.pages.browsing import Browsing, back_to, browsing
from app.pages.render import page
from app.review import claims, decisions, listing, sightings
from app.review.cells import CellView, find_cell
from app.review.views import detailed
from app.settings import get_settings
from models.scheme import Scheme

router = APIRouter()
router.include_router(explaining.router)

Field = Annotated[str, Form(max_length=4000)]
Note = Annotated[str, Form(max_length=10_000)]


def names_of(scheme: Scheme) -> dict[str, str]:
    """Names of questions and options by key."""
    names = {question.key: question.name or question.key for question in scheme.questions}
    return names | {option.key: option.name or option.key for option in scheme.options}


@router.get("/review/next")
def next_one(request: Request, caller: Reader, db: WriteDB) -> Response:
    """To the next open disagreement after a place; from the top again when there is none further down; to the list when all are decided."""
    return _next(db, caller, browsing(request.query_params.multi_items()))


@router.get("/review/{disagreement_id}")
def one(
    request: Request,
    disagreement_id: str,
    caller: Reader,
    db: WriteDB,
    blind: Annotated[bool, Query()] = True,
) -> HTMLResponse:
    """Blind until the reader has voted; opening it claims it, so that two reviewers do not work on the same."""
    view = find_cell(db, disagreement_id, caller)
    way = browsing(request.query_params.multi_items())
    reviews = caller.role != "reader"
    hidden = reviews and blind and not view.voted(caller.name)
    if hidden:
        return _vote_page(request, db, view, caller, way)
    sightings.record_once(db, caller, view)
    return _revealed_page(request, db, view, caller, way)


@router.post("/review/{disagreement_id}/vote")
def vote(  # noqa: PLR0913, PLR0917  # FastAPI reads one argument per form field
    request: Request,
    disagreement_id: str,
    caller: Reviewer,
    db: WriteDB,
    value: Field,
    etag: Field,
    note: Note = "",
    back: Field = "",
    force: Annotated[bool, Form()] = False,
) -> Response:
    """Appends the vote; a stale ETag or another's claim brings a page that loses nothing of it."""
    view = find_cell(db, disagreement_id, caller, lock=True)
    way = back_to(back)
    try:
        require_match(etag, view.etag)
        decisions.decide(db, view, caller, value, note.replace("\r\n", "\n").strip(), force=force)
    except PreconditionFailed as problem:
        sightings.record_once(db, caller, view)
        return _stale_page(request, db, view, caller, way, value=value, note=note, problem=problem)
    except Conflict as problem:
        return _vote_page(request, db, view, caller, way, value=value, note=note, problem=problem)
    return RedirectResponse(f"/review/{disagreement_id}?{way.query()}", 303)


@router.post("/review/{disagreement_id}/undo")
def undo(
    request: Request,
    disagreement_id: str,
    caller: Reviewer,
    db: WriteDB,
    etag: Field,
    back: Field = "",
) -> Response:
    """Appends an undo of the decision in force."""
    view = find_cell(db, disagreement_id, caller, lock=True)
    way = back_to(back)
    try:
        require_match(etag, view.etag)
    except PreconditionFailed as problem:
        sightings.record_once(db, caller, view)
        return _stale_page(request, db, view, caller, way, value="", note="", problem=problem)
    decisions.undo(db, view, caller)
    return RedirectResponse(f"/review/{disagreement_id}?{way.query()}", 303)


@router.post("/review/{disagreement_id}/skip")
def skip(disagreement_id: str, caller: Reviewer, db: WriteDB, back: Field = "") -> Response:
    """Gives the claim back and goes on."""
    view = find_cell(db, disagreement_id, caller)
    claims.end(db, view.key, caller.name)
    return _next(db, caller, replace(back_to(back), after=view.row.position))


def _next(db: WriteSession, caller: Principal, way: Browsing) -> Response:
    if not (way.filters.corpus or way.filters.ranking):
        raise NotFound("Nothing says which corpus to go on in: begin from the list.", field="corpus")
    ranking = listing.find_ranking(db, way.filters, caller)
    open_ones = replace(way.filters, state="open")
    for after in {way.after: None, 0: None} if ranking else ():
        assert ranking is not None
        row = next(
            listing.list_disagreements(db, ranking, open_ones, caller.name, after=after, limit=1, blind=True),
            None,
        )
        if row is not None:
            return RedirectResponse(
                f"/review/{numbered('dis', row.id)}?{way.of_ranking(ranking.id).query()}", 303
            )
    return RedirectResponse(f"/review?{way.query()}&{urlencode({'done': '1'})}", 303)


def _vote_page(
    request: Request,
    db: WriteSession,
    view: CellView,
    caller: Principal,
    way: Browsing,
    value: str = "",
    note: str = "",
    problem: Problem | None = None,
) -> HTMLResponse:
    """The text and the codebook's words alone; `problem` when a vote could not be taken because another is at work on it."""
    other = problem
    if problem is None:
        try:
            claims.take(db, view.key, caller.name, get_settings().claim_minutes)
        except Conflict as claimed:
            other = claimed
    context = _context(db, view, caller, way, hidden=True) | {"pending": value, "note": note, "other": other}
    return page(request, "vote.html", caller, 409 if problem else 200, **context)


def _revealed_page(
    request: Request, db: WriteSession, view: CellView, caller: Principal, way: Browsing
) -> HTMLResponse:
    """Everything, with the vote beside it."""
    return page(request, "revealed.html", caller, **_context(db, view, caller, way, hidden=False))


def _stale_page(
    request: Request,
    db: WriteSession,
    view: CellView,
    caller: Principal,
    way: Browsing,
    value: str,
    note: str,
    problem: Problem,
) -> HTMLResponse:
    """Both versions: what was about to be recorded, and what is in force now."""
    context = _context(db, view, caller, way, hidden=False) | {
        "pending": value,
        "note": note,
        "problem": problem,
    }
    return page(request, "stale.html", caller, 412, **context)


def _context(
    db: WriteSession, view: CellView, caller: Principal, way: Browsing, *, hidden: bool
) -> dict[str, Any]:
    found = detailed(db, view, caller.name, hidden=hidden, beside=1)
    ranking = listing.find_ranking(
        db, replace(way.filters, corpus=None, run=None, ranking=view.row.ranking_id), caller
    )
    assert ranking is not None
    own_way = way.of_ranking(view.row.ranking_id)
    return {
        "corpus": queries.corpus_row(db, view.row.corpus_id),
        "found": found,
        "names": names_of(view.codebook.scheme),
        "way": own_way,
        "counts": listing.count_states(db, ranking, own_way.filters, caller.name, blind=True),
        "shown_before": sightings.was_shown(db, caller.name, view.key),
    }
