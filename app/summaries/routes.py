"""POST /summarize."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.db.session import reading
from app.http.documented import problems
from app.http.event_answers import EventsAnswer
from app.http.problems import Invalid, Problem
from app.http.security import Principal, Reader
from app.http.server_events import Event
from app.http.timing import TIMING, timed
from app.inference.answers import refusal
from app.inference.pool import WorkerPool, caller_gone, unless_gone, workers_of
from app.inference.rules import check_text
from app.settings import get_settings
from app.summaries import job_routes
from app.summaries.extractive import budget_of, summarized
from app.summaries.following import abstract_events
from app.summaries.queries import writer_of
from app.summaries.rules import Writer, check_embedder, check_wishes, decoding_of, failed, recipe_of, written
from app.summaries.schemas import SummarizeAnswer, SummarizeBody
from models.data.control_characters import plain

router = APIRouter(tags=["summaries"])
router.include_router(job_routes.router)
Workers = Annotated[WorkerPool, Depends(workers_of)]
EMBEDDER = "minilm"
_OR_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The summary; events with `stream`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/summarize",
    summary="Summarize a text",
    response_model=SummarizeAnswer,
    responses={**_OR_EVENTS, **problems(401, 403, 404, 409, 413, 422, 503)},
)
async def summarize(
    request: Request, body: SummarizeBody, caller: Reader, workers: Workers, response: Response
) -> Any:
    """Extractive: the sentences that stand for a text, verbatim, with their character offsets in it. Give one of `max_sentences`
    (default 3), `max_words` or `ratio`; a length beyond the text's own gives all of it.

    Abstractive: written by a T5 model or an adapter of it, for texts of any length that are allowed here; the answer says which
    strategy ran, and holds the summary against its text: numbers, dates, citations and names that the text does not have, and the
    share of sentences that it supports. Below `min_supported` the summary is refused (`summary-unsupported`), with that report.
    """
    check_text(body.text, get_settings().max_text_characters, "/text")
    if body.method == "abstractive":
        check_text(plain(body.text), get_settings().max_text_characters, "/text")
    await run_in_threadpool(check_wishes, body)
    if body.method != "abstractive":
        return await _extractive(request, body, workers, response)
    writer = await run_in_threadpool(_writer, caller, body)
    asked = {
        **writer.asked, "text": body.text, "recipe": recipe_of(body, writer), "decoding": decoding_of(body), "embedder": body.embedder,
    }  # fmt: skip
    # What may be refused in the end is not told before.
    asked["pieces"] = body.stream and body.min_supported is None
    events, gone = abstract_events(workers, asked, _named(writer)), caller_gone(request)
    if not body.stream:
        return await unless_gone(_whole(events, body, writer), gone)
    await unless_gone(anext(events), gone)  # until it is begun
    return EventsAnswer(_stream(events, body, writer), events.aclose)


async def _extractive(
    request: Request, body: SummarizeBody, workers: WorkerPool, response: Response
) -> SummarizeAnswer:
    for field, words in (
        ("stream", "Only abstractive summaries are streamed"),
        ("corpus", "A corpus's promoted adapter writes abstractive summaries"),
    ):
        if getattr(body, field):
            raise Invalid(
                f"{words}, and the method is {body.method}: leave `{field}` out, or change `method`.",
                field=f"/{field}",
                slug="other-method",
            )
    base = body.base_model or EMBEDDER
    await run_in_threadpool(check_embedder, base, "/base_model")
    unit, amount = budget_of(body)
    asked = {
        "text": body.text,
        "base": base,
        "method": body.method,
        "unit": unit,
        "amount": amount,
        "trade_off": body.trade_off,
    }
    answer, timing = await timed(request, workers.post("/summarize", asked, caller_gone(request)))
    if not answer.is_success:
        raise refusal(answer, "/base_model")
    if timing:  # a method without a model has no stages to tell
        response.headers[TIMING] = timing
    return summarized(body, base, answer.json())


async def _whole(events: AsyncGenerator[Event], body: SummarizeBody, writer: Writer) -> SummarizeAnswer:
    """The answer once it is there."""
    async with aclosing(events):
        async for kind, data in events:
            if kind == "done":
                return written(body, writer, data)
            if kind == "failed":
                raise failed(data, writer)
    raise AssertionError("a worker's events end with done or failed")


async def _stream(
    events: AsyncGenerator[Event], body: SummarizeBody, writer: Writer
) -> AsyncGenerator[bytes]:
    try:
        async for kind, data in events:
            if kind == "alive":
                yield b": alive\n\n"
            elif kind == "done":
                yield _event(kind, written(body, writer, data).model_dump(mode="json"))
            elif kind == "failed":
                yield _event(kind, failed(data, writer).body())
            else:
                yield _event(kind, data)
    except Problem as problem:  # the answer has begun: it is told in it
        yield _event("failed", problem.body())


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


def _named(writer: Writer) -> str:
    return "/adapter" if writer.adapter else "/base_model"


def _writer(caller: Principal, body: SummarizeBody) -> Writer:
    with reading() as session:
        found = writer_of(session, caller, body, body.corpus)
    assert found is not None
    return found
