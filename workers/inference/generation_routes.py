"""POST /generate, /tokens and /perplexity of the inference worker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from models.generative.blocks import Ids, windows
from models.generative.decode.causal import CausalModel
from models.generative.decode.sequence import Sequence
from models.generative.decode.wording import Wording
from workers.inference.generation import Ticket, Writers
from workers.inference.generation_loading import LoadedWriter, WrongTaskError
from workers.inference.generation_wire import (
    DEFAULT_TOKENS,
    GenerateRequest,
    LengthError,
    ModelKey,
    generate_request,
    texts_request,
)
from workers.inference.service import CallerGoneError
from workers.inference.wire import BadRequestError, body_of

Handler = Callable[[Request], Awaitable[Response]]


class GenerationRoutes:
    """The handlers."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    @property
    def posts(self) -> Mapping[str, Handler]:
        """By path."""
        return {"/generate": self.generate, "/tokens": self.tokens, "/perplexity": self.perplexity}

    async def generate(self, request: Request) -> Response:
        """Text after each prompt, as JSON or as a stream of events."""
        asked = generate_request(body_of(await request.body()))
        wording = await self._wording(asked.model)
        try:
            sequences = await self._in_tokenizer(_sequences, asked, wording)
        except LengthError as error:
            return _json({"code": error.code, "detail": str(error), **error.numbers}, 422)
        tokens = sum(len(sequence.prompt) + sequence.most for sequence in sequences)
        generations = self._writers.generations
        generations.admit(tokens, bulk=asked.bulk)
        try:
            writer = await self._writers.writers.get(str(asked.model))
        except BaseException:
            generations.release(tokens, bulk=asked.bulk)
            raise
        ticket = Ticket(sequences, tokens, asked.bulk)
        if asked.stream:
            pieces, writing = self._begun(request, writer, ticket)
            return StreamingResponse(
                self._events(writer, ticket, pieces, writing), media_type="text/event-stream",
                headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            )  # fmt: skip
        await self._written(request, writer, ticket)
        results = await self._in_tokenizer(_results, sequences)
        return _json({"model": writer.description, "results": results})

    async def tokens(self, request: Request) -> Response:
        """How many tokens texts have, special ones included."""
        asked = texts_request(body_of(await request.body()))
        wording = await self._wording(asked.model)
        ids = await self._in_tokenizer(lambda: [wording.ids(text) for text in asked.texts])
        unknown = [int((one == wording.unknown).sum()) for one in ids]
        return _json(
            {"counts": list(map(len, ids)), "longest_input": wording.longest_input, "unknown": unknown}
        )

    async def perplexity(self, request: Request) -> Response:
        """Perplexity of each text, read in windows as training read its documents."""
        asked = texts_request(body_of(await request.body()))
        wording = await self._wording(asked.model)
        if wording.task != "causal":
            raise WrongTaskError(
                "Perplexity is measured of causal models, and this one summarizes: name a Llama or GPT-J model, or an adapter of one."
            )
        documents = await self._in_tokenizer(lambda: [wording.document(text) for text in asked.texts])
        tokens, generations = sum(map(len, documents)), self._writers.generations
        generations.admit(tokens, bulk=False)
        gone = asyncio.ensure_future(_gone(request))
        try:
            writer = await self._writers.writers.get(str(asked.model))
            results = [await self._perplexity(writer, document, asked.window, gone) for document in documents]
        finally:
            gone.cancel()
            generations.release(tokens, bulk=False)
        window = _window(writer.writer.wording, asked.window)
        return _json({"model": writer.description, "results": results, "window": window})

    async def _perplexity(
        self, writer: LoadedWriter, document: Ids, window: int | None, gone: asyncio.Future[None]
    ) -> dict[str, Any]:
        model = writer.writer.model
        assert isinstance(model, CausalModel)
        loss, count = 0.0, 0
        for piece in windows(document, _window(writer.writer.wording, window)):
            if gone.done():
                raise CallerGoneError
            if len(piece) > 1:
                found = await self._writers.generations.carry_out(partial(model.losses, piece))
                loss, count = loss + float(found.sum()), count + len(found)
        if not count:
            return {
                "error": "a text of one token has no perplexity: nothing stands before it",
                "code": "too-short",
            }
        if not math.isfinite(loss):
            return {"error": "the model's answer is not a number", "code": "not-a-number"}
        return {"perplexity": math.exp(min(700.0, loss / count)), "tokens": count, "nats": loss}

    async def _wording(self, key: ModelKey) -> Wording:
        return (await self._writers.wordings.get(str(key))).wording

    async def _in_tokenizer(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writers.tokenizers, work, *arguments)

    async def _written(self, request: Request, writer: LoadedWriter, ticket: Ticket) -> None:
        """Wait until all is written, the caller has gone, or the time is up."""
        generations = self._writers.generations
        leaving = asyncio.ensure_future(_gone(request))
        try:
            generations.submit(writer, ticket)
            done = asyncio.wrap_future(ticket.future)
            limit = None if ticket.bulk else generations.limits.seconds
            either: set[asyncio.Future[Any]] = {done, leaving}
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                done.result()
            elif leaving.done():
                raise CallerGoneError
            else:
                _too_late(ticket, generations.limits.seconds)
        finally:
            leaving.cancel()
            ticket.drop()
            generations.release(ticket.tokens, bulk=ticket.bulk)

    def _begun(
        self, request: Request, writer: LoadedWriter, ticket: Ticket
    ) -> tuple[asyncio.Queue[str | None], asyncio.Task[None]]:
        """The pieces of a text, None after the last, and the waiting for its end.

        It begins before the answer does: a caller who goes in between never asks for the answer's first piece.
        """
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def told(text: str) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, text)

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled():
                task.exception()  # heard, should nobody ask for it
            pieces.put_nowait(None)

        ticket.piece = told
        writing = asyncio.create_task(self._written(request, writer, ticket))
        writing.add_done_callback(ended)
        return pieces, writing

    async def _events(
        self,
        writer: LoadedWriter,
        ticket: Ticket,
        pieces: asyncio.Queue[str | None],
        writing: asyncio.Task[None],
    ) -> AsyncIterator[bytes]:
        """Pieces, then `done` or `failed`."""
        try:
            while (piece := await pieces.get()) is not None:
                yield _event("piece", {"text": piece})
            try:
                await writing
            except CallerGoneError:
                return
            except Exception as error:  # noqa: BLE001  # the stream has begun: whatever it is, it is told in it
                yield _event("failed", {"code": "engine-stopped", "detail": str(error)})
                return
            (result,) = await self._in_tokenizer(_results, ticket.sequences)
            if "error" in result:
                yield _event("failed", {"code": result["code"], "detail": result["error"]})
            else:
                yield _event("done", {"model": writer.description, **result})
        finally:
            ticket.drop()
            writing.cancel()


def _sequences(asked: GenerateRequest, wording: Wording) -> list[Sequence]:
    """The request's sequences, each checked before any is written.

    Raises:
        LengthError: a prompt is longer than the model reads, or leaves no room for what is asked for.
        BadRequestError: a prompt without a token.
    """
    found = []
    for place, prompt in enumerate(asked.prompts):
        ids = wording.ids(prompt)
        if not len(ids):
            raise BadRequestError(f"prompt {place} has no token")
        most = _most(asked, wording, place, len(ids))
        found.append(
            Sequence(
                ids, wording, asked.choice, most, asked.seed + place, asked.stop, asked.bulk, asked.stream
            )
        )
    return found


def _most(asked: GenerateRequest, wording: Wording, place: int, tokens: int) -> int:
    numbers = {"prompt": place, "tokens": tokens, "longest_input": wording.longest_input}
    if tokens > wording.longest_input:
        raise LengthError(
            "prompt-too-long",
            f"prompt {place} has {tokens:,} tokens, the model reads {wording.longest_input:,}: shorten it",
            numbers,
        )
    room = None if wording.longest is None else wording.longest - tokens
    if asked.max_tokens is None:
        return DEFAULT_TOKENS if room is None else max(1, min(DEFAULT_TOKENS, room))
    if room is not None and asked.max_tokens > room:
        raise LengthError(
            "no-room",
            f"prompt {place} has {tokens:,} tokens and the model holds {wording.longest:,} in all, so {room:,} can follow, "
            f"not {asked.max_tokens:,}: ask for fewer, or shorten the prompt",
            {**numbers, "room": room, "max_tokens": asked.max_tokens},
        )
    return asked.max_tokens


def _window(wording: Wording, asked: int | None) -> int:
    """Tokens of a window of perplexity."""
    return min(asked or wording.block, wording.longest or wording.block)


def _results(sequences: list[Sequence]) -> list[dict[str, Any]]:
    return [_result(sequence) for sequence in sequences]


def _result(sequence: Sequence) -> dict[str, Any]:
    if sequence.failure is not None:
        return {"error": sequence.failure.reason, "code": sequence.failure.code}
    text = sequence.text()
    return {
        "text": text,
        "tokens": sequence.count,
        "prompt_tokens": len(sequence.prompt),
        "finish": sequence.finish,
    }


def _too_late(ticket: Ticket, seconds: float) -> None:
    for sequence in ticket.sequences:
        if sequence.finish is None:
            sequence.fail("late", f"it was not written within the {seconds:g} s that a request may take: ask for fewer tokens or prompts")  # fmt: skip


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


def _json(document: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
