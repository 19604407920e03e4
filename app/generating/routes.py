"""POST /generate and POST /perplexity."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from app.db.session import reading
from app.generating.answers import generated, measured, writer_refusal, written, written_by
from app.generating.queries import Writes, writing_adapter
from app.generating.rules import (
    asked_of_worker,
    check_generate,
    check_model,
    generate_warnings,
    prompts_of,
    text_warnings,
    tokens_to_write,
    unread_warnings,
)
from app.generating.schemas import GenerateAnswer, GenerateBody, PerplexityAnswer, PerplexityBody
from app.generating.streaming import events, wire
from app.http.documented import problems
from app.http.event_answers import EventsAnswer
from app.http.problems import Problem
from app.http.security import Principal, Reader
from app.http.server_events import Event
from app.inference.pool import RefusedError, WorkerPool, caller_gone, unless_gone, workers_of
from app.inference.rules import Limits
from app.settings import get_settings
from models.data.control_characters import plain

router = APIRouter(tags=["inference"])
Workers = Annotated[WorkerPool, Depends(workers_of)]
WINDOW = 2048
_SEEDS = 2**31
_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "description": "`piece` {from, text}; `done` {from, model, result, seed, warnings}; `failed` {from, code, detail}. `from` is `adapter` or `base`.",
}


@router.post(
    "/generate",
    summary="Write on from a prompt",
    response_model=GenerateAnswer,
    responses={
        **problems(401, 403, 404, 409, 413, 422, 503),
        200: {"content": {"text/event-stream": {"schema": _EVENT}}},
    },
)
async def generate(
    request: Request, body: GenerateBody, caller: Reader, workers: Workers
) -> Response | GenerateAnswer:
    """Text that follows each prompt, by a causal adapter or a base model; with `compare` by both, drawn with the same seeds.

    The text ends where the model ends it, before a stop string, or at `max_tokens`; `finish` says which. Tokens are counted
    before anything is written: a prompt that is longer than the model's window, or leaves no room for `max_tokens`, is 422
    with the numbers. When the workers are busy the answer is 503 with `Retry-After`.

    With `stream` the answer is `text/event-stream`: pieces that end between words, then `done` with the whole text and its
    counts, or `failed`.

    A language model makes things up, citations above all: what it writes is no source.
    """
    prompts, field = prompts_of(body.prompt, body.prompts, _limits(), ("prompt", "prompts"))
    check_generate(body, len(prompts))
    writes = await run_in_threadpool(_writes, caller, body.adapter) if body.adapter else None
    seed = secrets.randbelow(_SEEDS) if body.seed is None else body.seed
    asked = asked_of_worker(body, prompts, seed)
    requests = [asked | model for model in _models(writes, body.base_model, compare=body.compare)]
    warnings = generate_warnings(body, prompts, field)
    if body.stream:
        return await _streamed(request, workers, requests, writes, seed, warnings, field)
    documents = await _asked(request, workers, "/generate", requests, writes, field)
    warnings += unread_warnings(documents[0]["results"], field)
    return generated(documents, writes, seed, warnings)


@router.post(
    "/perplexity",
    summary="How surprising texts are to a model that writes",
    responses=problems(401, 403, 404, 409, 413, 422, 503),
)
async def perplexity(
    request: Request, body: PerplexityBody, caller: Reader, workers: Workers
) -> PerplexityAnswer:
    """Perplexity per token of each text, under an adapter beside its base model, or under a base model alone.

    Texts are read as training measures held-out documents: in windows, each from its own beginning, the end mark included.
    Of a text that the adapter was trained on a low perplexity says nothing.
    """
    texts, field = prompts_of(body.text, body.texts, _limits(), ("text", "texts"))
    check_model(body.adapter, body.base_model)
    writes = await run_in_threadpool(_writes, caller, body.adapter) if body.adapter else None
    window = writes.block if writes else WINDOW
    asked = {"texts": [plain(text) for text in texts], "window": window}
    requests = [asked | model for model in _models(writes, body.base_model, compare=writes is not None)]
    documents = await _asked(request, workers, "/perplexity", requests, writes, field)
    warnings = [*text_warnings(texts, field), *unread_warnings(documents[0]["results"], field)]
    return measured(documents, writes, documents[0]["window"], warnings)


def _limits() -> Limits:
    settings = get_settings()
    return Limits(settings.max_prompts_per_request, settings.max_text_characters)


def _writes(caller: Principal, adapter: str) -> Writes:
    with reading() as session:
        return writing_adapter(session, caller, adapter)


def _models(writes: Writes | None, base_model: str | None, *, compare: bool) -> list[dict[str, str]]:
    """How the worker is told of each model that is asked: the one that was named, then its base model."""
    if writes is None:
        return [{"base": base_model or ""}]
    return [{"adapter": writes.blob_digest}, *([{"base": writes.base_model}] if compare else [])]


async def _asked(
    request: Request,
    workers: WorkerPool,
    path: str,
    requests: list[dict[str, Any]],
    writes: Writes | None,
    field: str,
) -> list[dict[str, Any]]:
    async def all_answers() -> list[httpx.Response]:
        asking = [
            asyncio.ensure_future(workers.post(path, asked, writes=tokens_to_write(asked)))
            for asked in requests
        ]
        try:
            return await asyncio.gather(*asking)
        finally:  # where one fails, the other's answer is of no use
            for one in asking:
                one.cancel()

    answers = await unless_gone(all_answers(), caller_gone(request))
    for answer in answers:
        if not answer.is_success:
            raise _refusal(answer, writes, field)
    return [answer.json() for answer in answers]


def _refusal(answer: httpx.Response, writes: Writes | None, field: str) -> Problem:
    return writer_refusal(answer, field, "/adapter" if writes else "/base_model")


async def _streamed(
    request: Request,
    workers: WorkerPool,
    requests: list[dict[str, Any]],
    writes: Writes | None,
    seed: int,
    warnings: list[str],
    field: str,
) -> Response:
    """The stream, once every worker has taken its part; else the refusal."""
    names = ("adapter", "base") if writes else ("base",)
    async with AsyncExitStack() as opening:
        streams: dict[str, AsyncGenerator[Event]] = {}
        for name, asked in zip(names, requests, strict=False):
            stream = workers.events("/generate", asked, tokens_to_write(asked))
            streams[name] = await opening.enter_async_context(aclosing(stream))
            try:
                await unless_gone(anext(stream), caller_gone(request))
            except RefusedError as refused:
                raise _refusal(refused.answer, writes, field) from None
        stack = opening.pop_all()
    return EventsAnswer(_told(streams, writes, seed, warnings, field), stack.aclose)


async def _told(
    streams: Mapping[str, AsyncGenerator[Event]],
    writes: Writes | None,
    seed: int,
    warnings: list[str],
    field: str,
) -> AsyncGenerator[bytes]:
    async with aclosing(events(streams)) as found:
        async for name, (kind, data) in found:
            if kind == "done":
                model = written_by(data, writes if name == "adapter" else None)
                data = {  # noqa: PLW2901  # the worker's becomes ours
                    "model": model.model_dump(),
                    "result": written(data, seed).model_dump(),
                    "seed": seed,
                    "warnings": [*warnings, *unread_warnings([data], field)],
                }
            yield wire(kind, {"from": name, **data})
