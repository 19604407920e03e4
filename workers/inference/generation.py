"""Generation in the worker: a running batch per model, advanced in short slices on the engine's thread between its other batches.

One thread hands slices to the queue, each when the last is done: interactive requests are taken up between two slices, and
bulk ones too. Explanations are carried out likewise.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from models.generative.decode.batch import Limits, RunningBatch
from models.generative.decode.sequence import Sequence
from models.generative.decode.wording import Wording
from workers.inference.explain import ExplanationAbandonedError, Turns
from workers.inference.generation_loading import LoadedWording, LoadedWriter
from workers.inference.queue import LaneQueue, QueueClosedError, QueueFullError
from workers.inference.residents import Residents

log = structlog.get_logger()
T = TypeVar("T")

SLICE_SECONDS = 0.02
"""After which a slice ends with the step at hand: what an interactive request waits for at most, where steps are short."""
_SLICE_LIMIT = 3600.0
_ASSUMED_SPEED = 50.0
_SMOOTHING = 0.2
_BULK_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class GenerationLimits:
    """What the operator allows."""

    batch: Limits = field(default_factory=Limits)
    cache_bytes: int = 1 << 30
    """Keys and values of all running batches."""
    queued_tokens: int = 200_000
    """Tokens to read and to write that may wait or be at work."""
    seconds: float = 100.0
    """That an interactive request may take."""


@dataclass(slots=True, eq=False)
class Ticket:
    """The sequences of one request."""

    sequences: list[Sequence]
    tokens: int
    bulk: bool
    piece: Callable[[str], None] | None = None
    """Told of text as it is written, from the generating thread; for one sequence."""
    future: Future[None] = field(default_factory=Future)
    left: int = 0

    def drop(self) -> None:
        """Nobody waits any more: what is not done ends at the next step."""
        for sequence in self.sequences:
            sequence.dropped = True


class Generations:
    """Queue and thread. Thread-safe."""

    def __init__(self, queue: LaneQueue, limits: GenerationLimits | None = None) -> None:
        """queue: the engine's, which slices are put into."""
        self.limits = limits or GenerationLimits()
        self._queue = queue
        self._condition = threading.Condition()
        self._arrived: list[tuple[LoadedWriter, Ticket]] = []
        self._batches: dict[LoadedWriter, RunningBatch] = {}
        self._tickets: dict[Sequence, Ticket] = {}
        self._tokens = [0, 0]
        self._speed = _ASSUMED_SPEED
        self._error: BaseException | None = None
        self.written = self.read = self.steps = 0
        """Tokens and steps so far, for metrics."""
        self._never = threading.Event()
        self._thread = threading.Thread(target=self._main, name="generation", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def running(self) -> int:
        """Sequences that wait or are written."""
        return len(self._tickets)

    @property
    def queued_tokens(self) -> int:
        """Tokens to read and to write that room is kept for."""
        return sum(self._tokens)

    @property
    def tokens_per_second(self) -> float:
        """Tokens read and written a second, smoothed."""
        return self._speed

    def admit(self, tokens: int, *, bulk: bool) -> None:
        """Keep room for tokens to read and to write; a request larger than the queue is taken when its lane is empty.

        Raises:
            QueueFullError: no room; says when to come back.
            QueueClosedError: the worker is stopping.
        """
        with self._condition:
            self._refuse_when_closed()
            limit = int(self.limits.queued_tokens * (_BULK_SHARE if bulk else 1))
            ahead = self._tokens[True] if bulk else sum(self._tokens)
            if self._tokens[bulk] and ahead + tokens > limit:
                raise QueueFullError(max(1.0, min(ahead, ahead + tokens - limit) / self._speed))
            self._tokens[bulk] += tokens

    def release(self, tokens: int, *, bulk: bool) -> None:
        """Give back room."""
        with self._condition:
            self._tokens[bulk] -= tokens

    def submit(self, writer: LoadedWriter, ticket: Ticket) -> None:
        """Queue the sequences of a request; its future is done when all of them have ended."""
        with self._condition:
            self._refuse_when_closed()
            ticket.left = len(ticket.sequences)
            self._tickets.update((sequence, ticket) for sequence in ticket.sequences)
            self._arrived.append((writer, ticket))
            self._condition.notify_all()

    async def carry_out(self, piece: Callable[[], T]) -> T:
        """Have the engine carry out a piece of arithmetic between two batches; whoever stops waiting takes it back."""
        waits = True

        def still() -> T:
            if not waits:
                raise ExplanationAbandonedError
            return piece()

        try:
            return await asyncio.to_thread(self._turn(), 0, still)
        finally:
            waits = False

    def close(self, error: BaseException | None = None) -> None:
        """Stop: whoever waits hears of it, and nothing more is taken."""
        with self._condition:
            self._error = self._error or error or QueueClosedError("the inference worker is stopping")
            self._condition.notify_all()

    def _refuse_when_closed(self) -> None:
        if self._error is not None:
            raise QueueClosedError("the engine has stopped") from self._error

    def _turn(self) -> Turns:
        return Turns(self._queue, time.monotonic() + _SLICE_LIMIT, self._never)

    def _main(self) -> None:
        try:
            while self._took_in():
                for writer, batch in list(self._batches.items()):
                    self._advance(writer, batch)
        except BaseException as error:  # whatever ended the thread, its callers must hear of it
            log.exception("generation stopped", error=type(error).__name__)
            self.close(error)
        self._fail_all()

    def _took_in(self) -> bool:
        """Wait for something to do and take in what has arrived; false when the worker stops."""
        with self._condition:
            self._condition.wait_for(lambda: self._arrived or self._batches or self._error)
            if self._error is not None:
                return False
            arrived, self._arrived = self._arrived, []
        for writer, ticket in arrived:
            batch = self._batches.get(writer)
            if batch is None:
                batch = self._batches[writer] = self._begun(writer)
            for sequence in ticket.sequences:
                batch.add(sequence)
        return True

    def _begun(self, writer: LoadedWriter) -> RunningBatch:
        batch = RunningBatch(writer.writer.model, self.limits.batch)
        batch.room = lambda: (
            self.limits.cache_bytes
            - sum(other.bytes for other in self._batches.values() if other is not batch)
        )
        return batch

    def _advance(self, writer: LoadedWriter, batch: RunningBatch) -> None:
        began, before = time.perf_counter(), (batch.counted.prompt_tokens, batch.counted.written, batch.counted.steps)  # fmt: skip
        try:
            ended = self._turn()(0, lambda: batch.advance(SLICE_SECONDS))
        except QueueClosedError as error:
            self.close(error)
            return
        except Exception as error:
            if not self._engine_runs():
                self.close(error)
                return
            log.exception("generation failed", error=type(error).__name__)
            ended = batch.abandon()
            for sequence in ended:
                sequence.fail("generation-failed", f"the model could not go on ({type(error).__name__})")
            del self._batches[writer]
        self._count(batch, before, time.perf_counter() - began)
        self._show(ended)
        if batch.idle:
            self._batches.pop(writer, None)

    def _engine_runs(self) -> bool:
        """Whether the queue still takes what is put into it: else the engine has stopped, and the failure is its own."""
        try:
            self._turn()(0, lambda: None)
        except Exception:  # noqa: BLE001  # whatever it is, nothing is computed any more
            return False
        return True

    def _count(self, batch: RunningBatch, before: tuple[int, int, int], seconds: float) -> None:
        counted = batch.counted
        read, written = counted.prompt_tokens - before[0], counted.written - before[1]
        self.read, self.written, self.steps = self.read + read, self.written + written, self.steps + counted.steps - before[2]  # fmt: skip
        if read + written and seconds > 0:
            self._speed += _SMOOTHING * ((read + written) / seconds - self._speed)

    def _show(self, ended: list[Sequence]) -> None:
        """Tell callers of new pieces, and of requests that are done."""
        for sequence, ticket in self._streamed():
            assert sequence.writing is not None
            text = sequence.writing.piece(final=sequence.finish is not None)
            if text and ticket.piece is not None:
                ticket.piece(text)
        for sequence in ended:
            ticket = self._tickets.pop(sequence)
            ticket.left -= 1
            if not ticket.left and not ticket.future.done():
                ticket.future.set_result(None)

    def _streamed(self) -> Iterator[tuple[Sequence, Ticket]]:
        with self._condition:
            found = [pair for pair in self._tickets.items() if pair[0].streamed]
        yield from found

    def _fail_all(self) -> None:
        with self._condition:
            tickets = {id(ticket): ticket for ticket in self._tickets.values()}
            self._tickets.clear()
            self._arrived.clear()
        self._batches.clear()
        for ticket in tickets.values():
            if not ticket.future.done():
                ticket.future.set_exception(QueueClosedError("the engine has stopped"))


@dataclass(frozen=True, slots=True)
class Writers:
    """What generation needs of a worker."""

    generations: Generations
    wordings: Residents[LoadedWording]
    """By the words of a `ModelKey`."""
    writers: Residents[LoadedWriter]
    tokenizers: ThreadPoolExecutor

    async def wording(self, key: str) -> Wording:
        """Tokenizer and limits of a model."""
        return (await self.wordings.get(key)).wording

    @property
    def document(self) -> dict[str, Any]:
        """What /readyz says: models that write, and texts that wait or are written."""
        return {"writers": list(self.writers.digests), "writing": self.generations.running}
