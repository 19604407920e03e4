"""POST /perplexity of the inference worker: documents read window by window, with a deadline, and a turn for others between two windows."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from models.generative.blocks import Ids, windows
from models.generative.decode.causal import CausalModel
from models.generative.decode.wording import Wording
from models.text.abstracts import unread
from workers.inference.answering import caller_gone, json_answer
from workers.inference.generation import Writers
from workers.inference.generation_loading import LoadedWriter, WrongTaskError
from workers.inference.generation_wire import TextsRequest, texts_request
from workers.inference.long_answers import long_answer
from workers.inference.service import CallerGoneError
from workers.inference.wire import body_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Until:
    """How long is waited for what a caller asked."""

    deadline: float
    """Of `time.monotonic`."""
    gone: asyncio.Future[None]
    """Done when the caller has gone."""

    async def either(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What comes of some work; None where it is too late for it. CallerGoneError when nobody waits any more."""
        left = self.deadline - time.monotonic()
        if self.gone.done() or left <= 0:
            work.close()
            if self.gone.done():
                raise CallerGoneError
            return None
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self.gone}
        try:
            limit = None if math.isinf(left) else left
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self.gone.done():
                raise CallerGoneError
            return task.result() if task.done() else None
        finally:
            task.cancel()


class PerplexityRoute:
    """The handler."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    async def perplexity(self, request: Request) -> Response:
        """Perplexity of each text, read in windows as training read its documents."""
        asked = texts_request(body_of(await request.body()))
        wording = await self._writers.wording(str(asked.model))
        if wording.task != "causal":
            raise WrongTaskError(
                "Perplexity is measured of causal models, and this one summarizes: name a Llama or GPT-J model, or an adapter of one."
            )
        documents = await asyncio.get_running_loop().run_in_executor(
            self._writers.tokenizers, lambda: [wording.document(text) for text in asked.texts]
        )
        working = self._measured(request, asked, documents)
        return await long_answer(working) if asked.bulk else json_answer(await working)

    async def _measured(self, request: Request, asked: TextsRequest, documents: list[Ids]) -> dict[str, Any]:
        """The answer of /perplexity: documents that were not read in time say so, each for itself. Bulk ones have all the time."""
        tokens, generations = sum(map(len, documents)), self._writers.generations
        seconds = math.inf if asked.bulk else generations.limits.seconds
        generations.admit(tokens, bulk=asked.bulk)
        gone = asyncio.ensure_future(caller_gone(request))
        until = Until(time.monotonic() + seconds, gone)
        try:
            writer = await self._writers.writers.get(str(asked.model))
            window = _window(writer.writer.wording, asked.window)
            results = [
                {
                    **(await self._perplexity(writer, windows(ids, window), until)),
                    "unread": unread(int((ids == writer.writer.wording.unknown).sum()), len(ids)),
                }
                for ids in documents
            ]
        finally:
            gone.cancel()
            generations.release(tokens, bulk=asked.bulk)
        return {"model": writer.description, "results": results, "window": window}

    async def _perplexity(self, writer: LoadedWriter, pieces: list[Ids], until: Until) -> dict[str, Any]:
        """One document's, window by window; other requests have their turn between two."""
        model = writer.writer.model
        assert isinstance(model, CausalModel)
        loss, count = 0.0, 0
        for piece in pieces:
            if len(piece) > 1:
                reading = self._writers.generations.carry_out(partial(model.losses, piece))
                found = await until.either(reading)
                if found is None:
                    seconds = self._writers.generations.limits.seconds
                    return {"error": f"it was not read within the {seconds:g} s that a request may take: send fewer or shorter texts", "code": "late"}  # fmt: skip
                loss, count = loss + float(found.sum()), count + len(found)
        if not count:
            return {
                "error": "a text of one token has no perplexity: nothing stands before it",
                "code": "too-short",
            }
        if not math.isfinite(loss):
            return {"error": "the model's answer is not a number", "code": "not-a-number"}
        return {"perplexity": math.exp(min(700.0, loss / count)), "tokens": count, "nats": loss}


def _window(wording: Wording, asked: int | None) -> int:
    """Tokens of a window of perplexity."""
    return min(asked or wording.block, wording.longest or wording.block)
