"""The models that summaries ask for, over the inference worker's HTTP: what the steps of a summary yield, answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import orjson
from numpy.typing import NDArray

from models.text.abstracts import SummaryRefusedError
from models.text.asking import Ask, Counted, CountTokens, Embed, Steps, Write, Written
from workers.inference.wire import arrays_from_bytes

T = TypeVar("T")
Post = Callable[[str, Mapping[str, Any]], Awaitable[httpx.Response]]
Stream = Callable[[str, Mapping[str, Any]], AsyncGenerator[tuple[str, dict[str, Any]] | httpx.Response]]
"""Posts JSON and gives the events of the answer, or the answer where it has none."""
Told = Callable[[str, int, int], None]
"""Stage, done, total."""

_PROMPTS_AT_ONCE = 8
_REQUESTS_AT_ONCE = 4
_EMBEDDED_AT_ONCE = 512


class WorkerRefusedError(Exception):
    """The inference worker refused what a summary asks of it; carries its answer."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"status {answer.status_code}")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Models:
    """Who is asked, and how text is generated."""

    post: Post
    """Sends JSON to an inference worker."""
    writer: Mapping[str, Any] = field(default_factory=dict)
    """`adapter` or `base` of the model that writes."""
    decoding: Mapping[str, Any] = field(default_factory=dict)
    """beams, temperature, top_p, top_k, repetition_penalty, seed: as /generate takes them."""
    embedder: str | None = "minilm"
    lane: str = "interactive"
    told: Told = lambda _stage, _done, _total: None
    stream: Stream | None = None
    """With it and `piece` the summary itself is told as it is written, where it is written word by word: not with beams."""
    piece: Callable[[str], None] | None = None
    model: dict[str, Any] = field(default_factory=dict)
    """Filled in: what the worker says of the model that wrote."""

    async def carry_out(self, steps: Steps[T]) -> T:
        """What the steps of a summary return; their own work is done on a thread.

        Raises:
            SummaryRefusedError: as the steps; or the model could not write a text.
            WorkerRefusedError: the worker refused.
        """
        answer: Any = None
        while True:
            done, found = await asyncio.to_thread(_next, steps, answer)
            if done:
                result: T = found
                return result
            answer = await self._answer(found)

    async def _answer(self, ask: Ask) -> Any:
        if isinstance(ask, CountTokens):
            return await self._count(ask)
        if isinstance(ask, Embed):
            return await self._embed(ask)
        return await self._write(ask)

    async def _count(self, ask: CountTokens) -> Counted:
        found = (await self._post("/tokens", {**self.writer, "texts": list(ask.texts)})).json()
        return Counted(tuple(found["counts"]), found["longest_input"], tuple(found.get("unknown") or ()))

    async def _embed(self, ask: Embed) -> NDArray[Any] | None:
        """None where the embedder is not to be had."""
        import numpy as np

        if self.embedder is None:
            return None
        parts = []
        for start in range(0, len(ask.texts), _EMBEDDED_AT_ONCE):
            texts = list(ask.texts[start : start + _EMBEDDED_AT_ONCE])
            body = {"base": self.embedder, "texts": texts, "dtype": "float32", "lane": self.lane}
            try:
                answer = await self._post("/embed", body)
            except WorkerRefusedError as refused:
                if refused.answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                    return None
                raise
            parts.append(arrays_from_bytes(answer.content, 1)[0])
        return np.concatenate(parts)

    async def _write(self, ask: Write) -> list[Written]:
        """Prompts of equal length limits go together, a few requests at a time."""
        if (
            ask.last
            and self.stream is not None
            and self.piece is not None
            and self.decoding.get("beams", 1) == 1
        ):
            return [await self._write_aloud(self.stream, self.piece, ask)]
        groups: dict[int, list[int]] = {}
        for place, most in enumerate(ask.most_tokens):
            groups.setdefault(most, []).append(place)
        batches = [
            (most, places[start : start + _PROMPTS_AT_ONCE])
            for most, places in groups.items()
            for start in range(0, len(places), _PROMPTS_AT_ONCE)
        ]
        written: dict[int, Written] = {}
        room = asyncio.Semaphore(_REQUESTS_AT_ONCE)
        self.told(ask.stage, 0, len(ask.prompts))

        async def write(most: int, places: Sequence[int]) -> None:
            async with room:
                found = await self._generate([ask.prompts[place] for place in places], most, places[0])
            written.update(zip(places, found, strict=True))
            self.told(ask.stage, len(written), len(ask.prompts))

        tasks = [asyncio.ensure_future(write(most, places)) for most, places in batches]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [written[place] for place in range(len(ask.prompts))]

    async def _generate(self, prompts: Sequence[str], most: int, first: int) -> list[Written]:
        body = self._body(prompts, most, first)
        document = orjson.loads((await self._post("/generate", body)).content)
        self.model.update(document["model"])
        return [_written(result) for result in document["results"]]

    async def _write_aloud(self, stream: Stream, piece: Callable[[str], None], ask: Write) -> Written:
        """One text, told as it is written."""
        self.told(ask.stage, 0, 1)
        body = self._body(ask.prompts, ask.most_tokens[0], 0) | {"stream": True}
        async with aclosing(stream("/generate", body)) as events:
            async for event in events:
                if isinstance(event, httpx.Response):
                    raise WorkerRefusedError(event)
                kind, data = event
                if kind == "piece":
                    piece(data["text"])
                elif kind == "failed":
                    raise SummaryRefusedError(str(data["code"]), "text", str(data["detail"]))
                elif kind == "done":
                    self.model.update(data["model"])
                    self.told(ask.stage, 1, 1)
                    return _written(data)
        raise SummaryRefusedError(
            "not-written", "text", "The inference worker ended before the summary did: try again."
        )

    def _body(self, prompts: Sequence[str], most: int, first: int) -> dict[str, Any]:
        seed = int(self.decoding.get("seed") or 0) + first
        return {
            **self.writer, **self.decoding, "prompts": list(prompts), "max_tokens": most, "seed": seed, "lane": self.lane
        }  # fmt: skip

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        answer = await self.post(path, body)
        if not answer.is_success:
            raise WorkerRefusedError(answer)
        return answer


def _written(result: Mapping[str, Any]) -> Written:
    if "error" in result:
        raise SummaryRefusedError(str(result.get("code", "not-written")), "text", str(result["error"]))
    return Written(result["text"], int(result["tokens"]), result["finish"] == "length")


def _next(steps: Steps[T], answer: Any) -> tuple[bool, Any]:
    """Whether the steps are done, and what they return or ask."""
    try:
        return False, steps.send(answer)
    except StopIteration as end:
        return True, end.value
