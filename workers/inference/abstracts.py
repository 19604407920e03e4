"""POST /abstract of the inference worker: an abstractive summary of a text of any length, as a stream of progress and one answer.

It asks the worker's own /tokens, /generate and /embed, in this process: the same steps as a summary job's, and no second way to a model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from models.text.abstracts import SummaryRefusedError
from models.text.summarizing import Recipe, Summary, UnfaithfulError, recipe_of
from workers.inference.generation_wire import model_key
from workers.inference.in_process import posted_events
from workers.inference.wire import BadRequestError, body_of
from workers.summary_models import Models, WorkerRefusedError

log = structlog.get_logger()
_ALIVE_SECONDS = 10.0
"""Between signs of life on a stream that has nothing to tell."""


@dataclass(frozen=True, slots=True)
class AbstractRequest:
    """POST /abstract."""

    text: str
    recipe: Recipe
    writer: Mapping[str, Any]
    decoding: Mapping[str, Any]
    embedder: str | None
    pieces: bool
    """Whether the summary is told as it is written."""


def abstract_request(body: Mapping[str, Any]) -> AbstractRequest:
    """Check an /abstract body."""
    text, recipe, decoding = body.get("text"), body.get("recipe"), body.get("decoding", {})
    if not isinstance(text, str) or not isinstance(recipe, dict) or not isinstance(decoding, dict):
        raise BadRequestError("text must be a string, recipe and decoding objects")
    model_key(body)
    writer = {name: body[name] for name in ("adapter", "base") if body.get(name) is not None}
    embedder = body.get("embedder")
    try:
        found = recipe_of(recipe)
    except (TypeError, ValueError) as error:
        raise BadRequestError(str(error)) from error
    return AbstractRequest(
        text,
        found,
        writer,
        decoding,
        None if embedder is None else str(embedder),
        bool(body.get("pieces", False)),
    )


class AbstractRoute:
    """The handler. `app` is the worker's own application, set once it is made."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.app: ASGIApp | None = None

    async def abstract(self, request: Request) -> Response:
        """Events `progress` {stage, done, total}, with `pieces` `piece` {text} of the summary, then `done` or `failed`."""
        asked = abstract_request(body_of(await request.body()))
        return StreamingResponse(
            self._events(asked), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
        )

    async def _events(self, asked: AbstractRequest) -> AsyncIterator[bytes]:
        told: asyncio.Queue[bytes] = asyncio.Queue()

        def progress(stage: str, done: int, total: int) -> None:
            told.put_nowait(_event("progress", {"stage": stage, "done": done, "total": total}))

        def piece(text: str) -> None:
            told.put_nowait(_event("piece", {"text": text}))

        assert self.app is not None
        app = self.app
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://worker",
            headers=self._headers,
            timeout=None,  # noqa: S113  # in this process
        ) as client:

            async def post(path: str, body: Mapping[str, Any]) -> httpx.Response:
                headers = {"Content-Type": "application/json"}
                return await client.post(path, content=orjson.dumps(body), headers=headers)

            models = Models(
                post, asked.writer, asked.decoding, asked.embedder, told=progress,
                stream=lambda path, body: posted_events(app, path, body, self._headers), piece=piece if asked.pieces else None,
            )  # fmt: skip
            working = asyncio.ensure_future(models.carry_out(asked.recipe.steps(asked.text)))
            try:
                async for event in _until_done(working, told):
                    yield event
                yield _last(working, models.model)
            finally:
                working.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await working


async def _until_done(working: asyncio.Future[Summary], told: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    """What is told until the work has ended; a comment where nothing is for a while."""
    while not (working.done() and told.empty()):
        telling = asyncio.ensure_future(told.get())
        either: set[asyncio.Future[Any]] = {working, telling}
        await asyncio.wait(either, timeout=_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            yield telling.result()
            continue
        telling.cancel()
        if not working.done():
            yield b": alive\n\n"


def _last(working: asyncio.Future[Summary], model: Mapping[str, Any]) -> bytes:
    try:
        summary = working.result()
    except UnfaithfulError as refusal:
        more = {"supported_share": refusal.supported_share, "faithfulness": refusal.document}
        return _failed(422, refusal.code, str(refusal), field=refusal.field, **more)
    except SummaryRefusedError as refusal:
        return _failed(422, refusal.code, str(refusal), field=refusal.field)
    except WorkerRefusedError as refusal:
        return _refused(refusal.answer)
    except Exception as error:  # the stream has begun: whatever it is, it is told in it
        log.exception("summary failed", error=type(error).__name__)
        return _failed(500, "unexpected", f"the worker failed ({type(error).__name__}); its log says more")
    return _event("done", {
        "model": model, "text": summary.text, "words": summary.words, "words_in_text": summary.words_in_text,
        "strategy": summary.strategy, "warnings": summary.warnings, "faithfulness": summary.faithfulness, **summary.made,
    })  # fmt: skip


def _refused(answer: httpx.Response) -> bytes:
    document = answer.json() if answer.content else {}
    more = {"retry_after": answer.headers["Retry-After"]} if "Retry-After" in answer.headers else {}
    return _failed(
        answer.status_code,
        str(document.get("code", "inference-refused")),
        str(document.get("detail", "")),
        **more,
    )


def _failed(status: int, code: str, detail: str, **more: Any) -> bytes:
    return _event("failed", {"status": status, "code": code, "detail": detail, **more})


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
