"""An inference worker whose model is `tests.writing.WordModel`: /tokens, /generate, /embed and the real /abstract, behind a real socket."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.served import served
from tests.writing import WordModel
from workers.inference.abstracts import AbstractRoute
from workers.inference.wire import BadRequestError

MODEL = {"name": "tiny-t5", "sha256": "5" * 64, "adapter": "d" * 64, "family": "t5", "longest_input": 120}


class WritingWorker:
    """What was asked of it, and what can be made to go wrong."""

    def __init__(self) -> None:
        self.model = WordModel()
        self.bodies: list[tuple[str, dict[str, Any]]] = []
        self.embedder = True
        self.refuses: tuple[int, dict[str, Any]] | None = None
        """Status and body with which /generate answers instead."""
        self.gate: threading.Event | None = None
        """/generate waits for it."""
        self.reached = threading.Event()
        """Set once /generate was asked for something."""

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Bodies sent to a path."""
        return [body for where, body in self.bodies if where == path]

    async def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(await request.body())
        self.bodies.append((request.url.path, body))
        return body

    async def _tokens(self, request: Request) -> Response:
        texts = (await self._body(request))["texts"]
        unknown = [text.split().count(self.model.unknown) for text in texts]
        counts = [self.model.tokens(text) for text in texts]
        return JSONResponse({"counts": counts, "longest_input": self.model.longest_input, "unknown": unknown})

    async def _generate(self, request: Request) -> Response:
        import asyncio

        body = await self._body(request)
        self.reached.set()
        if self.gate is not None:
            assert await asyncio.to_thread(self.gate.wait, 60)
        if self.refuses is not None:
            return JSONResponse(self.refuses[1], self.refuses[0])
        written = [self.model.write(prompt, body["max_tokens"]) for prompt in body["prompts"]]
        if body.get("stream"):
            (one,) = written
            pieces = [
                f"event: piece\ndata: {json.dumps({'text': word + ' '})}\n\n" for word in one.text.split()
            ]
            done = {
                "model": MODEL,
                "text": one.text,
                "tokens": one.tokens,
                "finish": "length" if one.cut else "end",
            }
            return Response(
                "".join(pieces) + f"event: done\ndata: {json.dumps(done)}\n\n", media_type="text/event-stream"
            )
        results = [
            {
                "text": one.text,
                "tokens": one.tokens,
                "prompt_tokens": 1,
                "finish": "length" if one.cut else "end",
            }
            for one in written
        ]
        return JSONResponse({"model": MODEL, "results": results})

    async def _embed(self, request: Request) -> Response:
        body = await self._body(request)
        if not self.embedder:
            return JSONResponse({"code": "base-model-unavailable", "detail": "not here"}, 422)
        buffer = io.BytesIO()
        np.save(buffer, np.eye(len(body["texts"]), 64, dtype=np.float32))
        return Response(buffer.getvalue())

    def app(self) -> Starlette:
        """The worker's application."""
        route = AbstractRoute("")

        async def abstract(request: Request) -> Response:
            await self._body(request)
            try:
                return await route.abstract(request)
            except BadRequestError as error:
                return JSONResponse({"code": "invalid", "detail": str(error)}, 422)

        handlers = {
            "/tokens": self._tokens,
            "/generate": self._generate,
            "/embed": self._embed,
            "/abstract": abstract,
        }
        app = Starlette(routes=[Route(path, handler, methods=["POST"]) for path, handler in handlers.items()])
        route.app = app
        return app


@contextmanager
def writing_worker() -> Iterator[tuple[WritingWorker, str]]:
    """The worker and its address."""
    worker = WritingWorker()
    with served(worker.app(), patience=1) as address:
        yield worker, address
        if worker.gate is not None:
            worker.gate.set()
