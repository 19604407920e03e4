"""One request through the worker: admit, load, tokenize, queue, compute, pool; and what happens when its caller goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from workers.inference.adapter_reader import AdapterReader
from workers.inference.engine import Engine
from workers.inference.explain import Explanations
from workers.inference.generation import Writers
from workers.inference.queue import LaneQueue
from workers.inference.reading import Answer, Plan, Prepared, Reader, Results
from workers.inference.rescoring import merged, plan_of
from workers.inference.residents import Residents
from workers.inference.token_cache import TokenCache
from workers.inference.wire import Pool
from workers.inference.work import Lane, LateError, Work, make_work

_CHARACTERS_PER_TOKEN = 4
_TICK = 0.001
"""After a deadline, so that it has passed when it is looked at."""
Gone = Callable[[], Awaitable[object]]
"""Returns when the caller has gone away."""


class CallerGoneError(Exception):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running worker."""

    queue: LaneQueue
    engine: Engine
    adapters: Residents[Reader]
    """By blob digest."""
    bases: Residents[Reader]
    """By name, for embeddings."""
    tokenizers: ThreadPoolExecutor
    explanations: Explanations = field(default_factory=Explanations)
    writers: Writers | None = None
    """Models that write; None: this worker has none."""
    forward: Callable[[], dict[str, Any]] = dict
    """How each loaded base model is read, for /readyz."""
    tokens: TokenCache | None = None
    """Token ids of corpora that were read before; None: none are kept."""
    observe: Callable[[Mapping[str, float]], None] = lambda _stages: None
    """Told of each answered request's stages, for metrics."""


@dataclass(slots=True)
class Timing:
    """Milliseconds a request spent in each stage, for Server-Timing."""

    stages: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.perf_counter)

    def mark(self, stage: str) -> None:
        """The stage that ends now."""
        now = time.perf_counter()
        self.stages[stage] = (now - self._last) * 1000
        self._last = now

    def split(self, work: Work) -> None:
        """The stages queue and forward, from a finished request."""
        now = time.perf_counter()
        started = work.started_at or now
        self.stages["queue"] = max(0.0, (started - work.queued_at) * 1000)
        self.stages["forward"] = (now - started) * 1000
        self._last = now

    @property
    def header(self) -> str:
        """Server-Timing's value."""
        return ", ".join(f"{stage};dur={milliseconds:.2f}" for stage, milliseconds in self.stages.items())


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answered request with what it was made from."""

    reader: Reader
    prepared: Prepared
    answer: Answer
    timing: Timing


@dataclass(frozen=True, slots=True)
class Question:
    """Which texts, in which lane, read how."""

    lane: Lane
    texts: Sequence[str]
    plan: Plan = field(default_factory=Plan)
    pool: Pool = "mean"
    deadline: float | None = None
    """Of `time.monotonic`: what was not begun by then is not computed; None: its caller waits as long as it takes."""


async def respond(
    service: Service,
    load: Awaitable[Reader],
    question: Question,
    gone: Gone,
) -> Outcome:
    """Carry one request through.

    Args:
        service: the worker.
        load: the adapter or base model.
        question: what is asked.
        gone: returns when the caller has gone away.

    Raises:
        QueueFullError: no room.
        LateError: the deadline passed before it was begun.
        QueueClosedError, EngineStoppedError: the engine has stopped.
        CallerGoneError: the caller went away; what was queued is dropped.
        LookupError: a model that does not exist.
    """
    timing = Timing()
    reader = await load
    timing.mark("load")
    prepared, answer = await _read(service, reader, question, gone, timing)
    if question.lane is Lane.BULK and isinstance(reader, AdapterReader):
        answer = await _exactly(service, reader, question, answer, gone)
        timing.mark("exact")
    service.observe(timing.stages)
    return Outcome(reader, prepared, answer, timing)


async def _exactly(
    service: Service, reader: AdapterReader, question: Question, answer: Answer, gone: Gone
) -> Answer:
    """The answer with texts whose decisions hang on rounding read again in fp32."""
    rows = reader.doubtful(answer)
    if not len(rows):
        return answer
    exact = reader.exact or await service.adapters.get(reader.exact_key)
    some = replace(
        question, texts=[question.texts[row] for row in rows], plan=plan_of(question.plan, rows.tolist()),
        deadline=None,
    )  # fmt: skip
    _, found = await _read(service, exact, some, gone, Timing())
    return merged(answer, found, rows)


async def _read(
    service: Service, reader: Reader, question: Question, gone: Gone, timing: Timing
) -> tuple[Prepared, Answer]:
    """Tokenize, queue, compute, pool."""
    loop = asyncio.get_running_loop()
    if (
        question.deadline is not None and time.monotonic() > question.deadline
    ):  # a cold adapter took that long
        raise LateError(service.queue.seconds)
    admission = service.queue.admit(question.lane, estimated_tokens(question.texts))
    try:
        prepared = await loop.run_in_executor(
            service.tokenizers, reader.prepare, question.texts, question.plan
        )
        timing.mark("tokenize")
        work, windows = make_work(
            reader, question.lane, prepared.windows_of, prepared.context, question.deadline
        )
        if windows:
            service.queue.put(admission, work, windows)
    finally:
        service.queue.release(admission)
    results = await _result_or_gone(service, work, gone)
    timing.split(work)
    answer = await loop.run_in_executor(
        service.tokenizers, reader.finish, prepared, results, question.plan, question.pool
    )
    timing.mark("pool")
    return prepared, answer


def estimated_tokens(texts: Sequence[str]) -> int:
    """A guess at the tokens of texts before they are tokenized."""
    return sum(len(text) // _CHARACTERS_PER_TOKEN + 2 for text in texts)


async def _result_or_gone(service: Service, work: Work, gone: Callable[[], Awaitable[object]]) -> Results:
    result = asyncio.wrap_future(work.future)
    leaving = asyncio.ensure_future(gone())
    waiting: set[asyncio.Future[Any]] = {result, leaving}
    try:
        while not (result.done() or leaving.done()):
            now = time.monotonic()
            if work.late(now):
                raise LateError(service.queue.seconds)
            left = (
                None if work.deadline is None or work.started_at is not None else work.deadline - now + _TICK
            )
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise CallerGoneError
        return result.result()
    finally:
        leaving.cancel()
        if not result.done():
            service.queue.drop(work)
