"""The worker's HTTP: routes, errors as JSON, the queue's length on every answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.inference.rules import wait_seconds
from models.text.words import count_words
from workers.inference.abstracts import AbstractRoute
from workers.inference.adapter_reader import AdapterReader
from workers.inference.answering import Handler, caller_gone, guarded, json_answer
from workers.inference.explain_wire import explain_request
from workers.inference.generation_routes import GenerationRoutes
from workers.inference.metrics import Metrics
from workers.inference.perplexity_route import PerplexityRoute
from workers.inference.reading import Plan
from workers.inference.service import Outcome, Question, Service, respond
from workers.inference.summaries import choose_sentences, sentences_of
from workers.inference.wire import (
    FAILED_HEADER,
    QUEUED_HEADER,
    TIMING,
    BadRequestError,
    arrays_to_bytes,
    body_of,
    bulk_request,
    classify_request,
    digest_of,
    embed_request,
    summarize_request,
)
from workers.inference.work import Lane


def create_server(
    service: Service, metrics: Metrics, token: str, startup: Callable[[], Awaitable[None]]
) -> ASGIApp:
    """The ASGI application of one worker.

    Args:
        service: queue, engine, models.
        metrics: its counters.
        token: what callers must send as a bearer token; empty: none is asked for.
        startup: run once before requests are taken.
    """
    routes = Routes(service)
    posts: dict[str, Handler] = {
        "/classify": routes.classify,
        "/bulk": routes.bulk,
        "/embed": routes.embed,
        "/explain": routes.explain,
        "/summarize": routes.summarize,
        "/load": routes.load,
    }
    if service.writers is not None:
        posts.update(GenerationRoutes(service.writers).posts)
        posts["/perplexity"] = PerplexityRoute(service.writers).perplexity
    abstracts = AbstractRoute(token)
    posts["/abstract"] = abstracts.abstract

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        service.engine.start()
        if service.writers is not None:
            service.writers.generations.start()
        await startup()
        try:
            yield
        finally:
            if service.writers is not None:
                service.writers.generations.close()
            service.engine.stop()
            service.explanations.close()
            service.tokenizers.shutdown(wait=False, cancel_futures=True)

    async def page(_: Request) -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(
        lifespan=lifespan,
        routes=[
            *(
                Route(path, guarded(path, handler, metrics, token), methods=["POST"])
                for path, handler in posts.items()
            ),
            Route("/livez", routes.livez),
            Route("/readyz", routes.readyz),
            Route("/metrics", page),
        ],
    )
    abstracts.app = app
    return _with_queue_length(app, service)


class Routes:
    """The handlers of one worker."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def classify(self, request: Request) -> Response:
        """Probabilities of the final model, as JSON."""
        deadline = _deadline(request)
        asked = classify_request(body_of(await request.body()))
        plan = Plan(contexts=asked.contexts)
        question = Question(Lane.INTERACTIVE, asked.texts, plan, asked.pool, deadline)
        outcome = await respond(
            self._service, self._service.adapters.get(asked.adapter), question, partial(caller_gone, request)
        )
        return json_answer(
            {"adapter": asked.adapter, **outcome.reader.description, "results": _results(outcome)},
            headers=_headers(outcome),
        )

    async def bulk(self, request: Request) -> Response:
        """Probabilities by chosen members, and embeddings if asked for, as .npy arrays one after another."""
        deadline = _deadline(request)
        asked = bulk_request(body_of(await request.body()))
        kept = self._service.tokens
        tokenize = None if kept is None or asked.corpus is None else kept.of(asked.corpus)
        plan = Plan(asked.members, asked.uses, asked.embeddings, asked.contexts, tokenize)
        question = Question(Lane.BULK, asked.texts, plan, deadline=deadline)
        outcome = await respond(
            self._service, self._service.adapters.get(asked.adapter), question, partial(caller_gone, request)
        )
        arrays: list[np.ndarray[Any, Any]] = [outcome.answer.probabilities]  # type: ignore[list-item]
        if asked.embeddings and outcome.answer.embeddings is not None:
            arrays.append(outcome.answer.embeddings.astype(np.float16))
        return _binary(arrays, outcome)

    async def embed(self, request: Request) -> Response:
        """Sentence embeddings of a base model, as one .npy array."""
        deadline = _deadline(request)
        asked = embed_request(body_of(await request.body()))
        lane = Lane.BULK if asked.bulk else Lane.INTERACTIVE
        question = Question(lane, asked.texts, Plan(embeddings=True), deadline=deadline)
        outcome = await respond(
            self._service, self._service.bases.get(asked.base), question, partial(caller_gone, request)
        )
        assert outcome.answer.embeddings is not None
        return _binary([outcome.answer.embeddings.astype(asked.dtype)], outcome)

    async def explain(self, request: Request) -> Response:
        """What in each text speaks for and against its options, as JSON."""
        asked = explain_request(body_of(await request.body()))
        reader = await self._service.adapters.get(asked.adapter)
        if not isinstance(reader, AdapterReader):
            raise BadRequestError("this adapter has no layers that could be explained")
        service = self._service
        results = await service.explanations.answer(
            service.queue, reader.adapter, asked, partial(caller_gone, request)
        )
        return json_answer({"adapter": asked.adapter, "results": results})

    async def summarize(self, request: Request) -> Response:
        """The sentences that stand for a text, with their character offsets."""
        deadline = _deadline(request)
        asked = summarize_request(body_of(await request.body()))
        sentences = await asyncio.to_thread(sentences_of, asked.text)
        embeddings, headers = np.zeros((len(sentences), 1), dtype=np.float32), {}
        if asked.method == "mmr" and len(sentences) > 1:
            texts = [asked.text[start:end] for start, end in sentences]
            question = Question(Lane.INTERACTIVE, texts, Plan(embeddings=True), deadline=deadline)
            load = self._service.bases.get(asked.base)
            outcome = await respond(self._service, load, question, partial(caller_gone, request))
            assert outcome.answer.embeddings is not None
            embeddings, headers = outcome.answer.embeddings, _headers(outcome)
        chosen = await asyncio.to_thread(choose_sentences, asked, sentences, embeddings)
        words = await asyncio.to_thread(
            lambda: [count_words(asked.text[start:end]) for start, end in sentences]
        )
        document = {
            "sentences": [sentences[place] for place in chosen], "sentences_in_text": len(sentences),
            "words": sum(words[place] for place in chosen), "words_in_text": sum(words),
        }  # fmt: skip
        return json_answer(document, headers=headers)

    async def load(self, request: Request) -> Response:
        """Load an adapter before it is asked for, and give it up last."""
        digest = digest_of(body_of(await request.body()))
        reader = await self._service.adapters.get(digest, pin=True)
        return json_answer({"adapter": digest, **reader.description})

    async def livez(self, _: Request) -> Response:
        """200 while the engine computes."""
        alive = self._service.engine.alive
        return json_answer({"status": "alive" if alive else "engine stopped"}, 200 if alive else 503)

    async def readyz(self, _: Request) -> Response:
        """200 when requests can be taken, with what is loaded."""
        alive = self._service.engine.alive
        document = {
            "status": "ready" if alive else "engine stopped",
            "adapters": list(self._service.adapters.digests),
            "bases": list(self._service.bases.digests),
            "tokens_per_second": round(self._service.queue.tokens_per_second),
            "forward": self._service.forward(),
        }
        if self._service.writers is not None:
            document |= self._service.writers.document
        return json_answer(document, 200 if alive else 503)


def _results(outcome: Outcome) -> list[dict[str, Any]]:
    answer, prepared = outcome.answer, outcome.prepared
    assert answer.probabilities is not None
    assert answer.deciding is not None
    results: list[dict[str, Any]] = []
    for text, spans in enumerate(prepared.spans_of):
        if text in answer.failures:
            results.append({"error": answer.failures[text].reason})
            continue
        results.append(
            {
                "probabilities": answer.probabilities[text].tolist(),
                "windows": [list(span) for span in spans],
                "deciding": answer.deciding[text].tolist(),
                "with_context": answer.beside is not None and bool(answer.beside[text]),
            }
        )
    return results


def _headers(outcome: Outcome) -> dict[str, str]:
    headers = {TIMING: outcome.timing.header}
    if outcome.answer.failures:
        headers[FAILED_HEADER] = ",".join(map(str, sorted(outcome.answer.failures)))
    return headers


def _binary(arrays: list[np.ndarray[Any, Any]], outcome: Outcome) -> Response:
    return Response(arrays_to_bytes(arrays), media_type="application/octet-stream", headers=_headers(outcome))


def _deadline(request: Request) -> float | None:
    """Until when a caller waits, of `time.monotonic`; None where it does not say."""
    seconds = wait_seconds(request.headers.get("prefer"))
    return None if seconds is None else time.monotonic() + seconds


def _with_queue_length(app: ASGIApp, service: Service) -> ASGIApp:
    name = QUEUED_HEADER.lower().encode()

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                queued = service.queue.queued_tokens
                if service.writers is not None:
                    queued += service.writers.generations.queued_tokens
                headers = [*message.get("headers", []), (name, str(queued).encode())]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return counted
