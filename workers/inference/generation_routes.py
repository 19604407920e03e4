"""POST /generate and /tokens of the inference worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from models.generative.decode.sequence import Sequence
from models.generative.decode.wording import Wording
from models.text.abstracts import unread
from workers.inference.answering import Handler, caller_gone, json_answer
from workers.inference.generation import Ticket, Writers
from workers.inference.generation_loading import LoadedWriter
from workers.inference.generation_wire import (
    DEFAULT_TOKENS,
    GenerateRequest,
    LengthError,
    ModelKey,
    generate_request,
    texts_request,
)
from workers.inference.long_answers import long_answer
from workers.inference.service import CallerGoneError
from workers.inference.wire import BadRequestError, body_of


class GenerationRoutes:
    """The handlers."""

    def __init__(self, writers: Writers) -> None:
        self._writers = writers

    @property
    def posts(self) -> Mapping[str, Handler]:
        """By path."""
        return {"/generate": self.generate, "/tokens": self.tokens}

    async def generate(self, request: Request) -> Response:
        """Text after each prompt, as JSON or as a stream of events."""
        asked = generate_request(body_of(await request.body()))
        wording = await self._wording(asked.model)
        try:
            sequences = await self._in_tokenizer(_sequences, asked, wording)
        except LengthError as error:
            return json_answer({"code": error.code, "detail": str(error), **error.numbers}, 422)
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

        async def written() -> dict[str, Any]:
            await self._written(request, writer, ticket)
            results = await self._in_tokenizer(_results, sequences)
            return {"model": writer.description, "results": results}

        return await long_answer(written()) if asked.bulk else json_answer(await written())

    async def tokens(self, request: Request) -> Response:
        """How many tokens texts have, special ones included."""
        asked = texts_request(body_of(await request.body()))
        wording = await self._wording(asked.model)
        ids = await self._in_tokenizer(lambda: [wording.ids(text) for text in asked.texts])
        unknown = [int((one == wording.unknown).sum()) for one in ids]
        return json_answer(
            {"counts": list(map(len, ids)), "longest_input": wording.longest_input, "unknown": unknown}
        )

    async def _wording(self, key: ModelKey) -> Wording:
        return await self._writers.wording(str(key))

    async def _in_tokenizer(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writers.tokenizers, work, *arguments)

    async def _written(self, request: Request, writer: LoadedWriter, ticket: Ticket) -> None:
        """Wait until all is written, the caller has gone, or the time is up."""
        generations = self._writers.generations
        leaving = asyncio.ensure_future(caller_gone(request))
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
        "unread": unread(int((sequence.prompt == sequence.wording.unknown).sum()), len(sequence.prompt)),
    }


def _too_late(ticket: Ticket, seconds: float) -> None:
    for sequence in ticket.sequences:
        if sequence.finish is None:
            sequence.fail("late", f"it was not written within the {seconds:g} s that a request may take: ask for fewer tokens or prompts")  # fmt: skip


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
