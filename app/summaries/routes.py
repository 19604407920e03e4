"""POST /summarize."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from app.db.session import reading
from app.http.documented import problems
from app.http.problems import Invalid, Problem
from app.http.security import Principal, Reader
from app.inference.answers import refusal
from app.inference.pool import WorkerPool, caller_gone, workers_of
from app.inference.rules import check_text
from app.settings import get_settings
from app.summaries import job_routes
from app.summaries.extractive import budget_of, summarized
from app.summaries.following import abstract_events
from app.summaries.queries import writer_of
from app.summaries.rules import Writer, check_wishes, decoding_of, failed, recipe_of, written
from app.summaries.schemas import SummarizeAnswer, SummarizeBody
from models.catalog import CATALOG

router = APIRouter(tags=["summaries"])
router.include_router(job_routes.router)
Workers = Annotated[WorkerPool, Depends(workers_of)]
TIMING = "Server-Timing"
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
    check_wishes(body)
    if body.method != "abstractive":
        return await _extractive(request, body, workers, response)
    writer = await run_in_threadpool(_writer, caller, body)
    asked = {
        **writer.asked, "text": body.text, "recipe": recipe_of(body, writer), "decoding": decoding_of(body), "embedder": body.embedder,
    }  # fmt: skip
    if body.stream:
        # What may be refused in the end is not told before.
        asked["pieces"] = body.min_supported is None
        return StreamingResponse(
            _stream(body, writer, asked), media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )  # fmt: skip
    return await _abstractive(request, body, writer, asked)


async def _extractive(
    request: Request, body: SummarizeBody, workers: WorkerPool, response: Response
) -> SummarizeAnswer:
    if body.stream:
        raise Invalid(
            "Only abstractive summaries are streamed: leave `stream` out.",
            field="/stream",
            slug="other-method",
        )
    base = body.base_model or EMBEDDER
    if base not in CATALOG:
        raise Invalid(
            f"There is no base model {base!r}; the catalog has {', '.join(CATALOG)}.",
            field="/base_model",
            slug="unknown-base-model",
        )
    unit, amount = budget_of(body)
    asked = {
        "text": body.text,
        "base": base,
        "method": body.method,
        "unit": unit,
        "amount": amount,
        "trade_off": body.trade_off,
    }
    answer = await workers.post("/summarize", asked, caller_gone(request))
    if not answer.is_success:
        raise refusal(answer, "/base_model")
    response.headers[TIMING] = answer.headers.get(TIMING, "")
    return summarized(body, base, answer.json())


async def _abstractive(
    request: Request, body: SummarizeBody, writer: Writer, asked: dict[str, Any]
) -> SummarizeAnswer | Response:
    """The answer once it is there; a caller who has gone takes the worker's work with it."""
    async for kind, data in abstract_events(asked, _named(writer)):
        if kind == "done":
            return written(body, writer, data)
        if kind == "failed":
            raise failed(data, writer)
        if await request.is_disconnected():
            break
    return Response(status_code=499)


async def _stream(body: SummarizeBody, writer: Writer, asked: dict[str, Any]) -> AsyncIterator[bytes]:
    try:
        async for kind, data in abstract_events(asked, _named(writer)):
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
        found = writer_of(session, caller, body)
    assert found is not None
    return found
