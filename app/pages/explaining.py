"""The page that marks which words of a text speak for and against the model's answer: after the vote, never before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.db.session import writing
from app.db.tables import Adapter, RelabelRun
from app.http.security import Principal, Reader
from app.inference.explain_schemas import MOST_WORDS, ExplainChoice, Explanation
from app.inference.explaining import explain_limits, explained_texts
from app.inference.explanations import check_explainable
from app.inference.pool import pool_of
from app.inference.queries import Served, served_adapter
from app.pages import queries
from app.pages.browsing import browsing
from app.pages.highlights import pieces
from app.pages.render import page
from app.review import sightings
from app.review.cells import CellView, find_cell
from app.settings import get_settings

router = APIRouter()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the page explains."""

    text: str
    external_id: str
    corpus: object
    served: Served
    options: tuple[str, ...]
    names: dict[str, str]
    reads_context: bool
    """Whether the adapter reads neighbours, which the explanation leaves out."""


@router.get("/review/{disagreement_id}/explanation")
async def explanation(request: Request, disagreement_id: str, caller: Reader) -> Response:
    """Marked words and the sentences that matter; whoever has not voted is sent back to vote blind."""
    way = browsing(request.query_params.multi_items())
    back = f"/review/{disagreement_id}?{way.query()}"
    asked = await run_in_threadpool(_asked, caller, disagreement_id)
    if asked is None:
        return RedirectResponse(back, 303)
    (found,) = await explained_texts(
        pool_of(request), asked.served, [asked.text], [asked.options], MOST_WORDS
    )
    return _page(request, caller, asked, found, back)


def _page(request: Request, caller: Principal, asked: _Asked, found: Explanation, back: str) -> HTMLResponse:
    options = [
        {
            "name": asked.names[option.key],
            "option": option,
            "pieces": pieces(asked.text, option.words),
            "sentences": [
                {"text": asked.text[sentence.start : sentence.end], "change": -sentence.delta_probability}
                for sentence in sorted(option.sentences, key=lambda one: -abs(one.delta_logit))[:3]
            ],
        }
        for option in found.options
    ]
    context: dict[str, Any] = {"asked": asked, "found": found, "options": options, "back": back}
    return page(request, "explained.html", caller, **context)


def _asked(caller: Principal, disagreement_id: str) -> _Asked | None:
    """What is to be explained, and the sighting written down; None for a reviewer who has not voted there."""
    with writing() as session:
        view = find_cell(session, disagreement_id, caller)
        if caller.role != "reader" and not view.voted(caller.name):
            return None
        sightings.record_once(session, caller, view)
        run = session.get_one(RelabelRun, view.row.run_id)
        served = served_adapter(session, caller, run.adapter_id, None)
        options = _options(view, served)
        limits = explain_limits(get_settings())
        check_explainable(
            [view.row.content], ExplainChoice(options=list(options)), served.scheme, limits, "/text"
        )
        return _Asked(
            text=view.row.content,
            external_id=view.row.external_id,
            corpus=queries.corpus_row(session, view.row.corpus_id),
            served=served,
            options=options,
            names={option.key: option.name or option.key for option in served.scheme.options},
            reads_context=bool(
                session.get_one(Adapter, served.id).manifest.get("encoder", {}).get("context")
            ),
        )


def _options(view: CellView, served: Served) -> tuple[str, ...]:
    """The cell's option, or of a choose_one question the options that the adapter knows, as many as may be explained."""
    if view.option_key is not None:
        return (view.option_key,)
    known = set(served.scheme.option_keys)
    keys = [option.key for option in view.question.options if option.key in known]
    return tuple(keys[: get_settings().explain_options])
