"""What travels through an inference worker: windows of token ids, the requests they belong to, and what came of each text."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.encoder.pace import Batching

TokenIds = NDArray[np.int32]


class Lane(IntEnum):
    """Interactive requests always go first, then a piece of an explanation; bulk ones (relabelling) fill the time between them."""

    INTERACTIVE = 0
    EXPLANATION = 1
    BULK = 2


class LateError(Exception):
    """A request was not taken up before its deadline: nobody would read its answer. In `retry_after` seconds the queue should be empty."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(
            f"it was not begun in the time that its caller waits; the queue takes about {retry_after:.1f} s"
        )
        self.retry_after = retry_after


class Runner(Protocol):
    """What can be asked of the engine: one loaded adapter, or a base model for embeddings. Windows of one company share a batch."""

    @property
    def company(self) -> Hashable:
        """Equal for runners whose windows can be computed together, by any of them."""
        ...

    @property
    def batching(self) -> Batching | None:
        """How its windows are put into batches; None: padded, in the engine's budget."""
        ...

    def run(self, windows: Sequence[Window]) -> Sequence[Any]:
        """One result per window, computed on the engine's thread; raises when the batch cannot be computed."""
        ...


@runtime_checkable
class Ahead(Protocol):
    """A runner whose device may compute beside the engine's thread, which then makes the next batch ready."""

    def begin(self, windows: Sequence[Window]) -> Callable[[], Sequence[Any]] | None:
        """Begin a batch; what waits for it gives one result per window. None where the engine's thread itself computes: then nothing is begun."""
        ...


@dataclass(frozen=True, slots=True)
class TextFailure:
    """Why one text of a request has no result. The others of the request are unharmed."""

    reason: str


@dataclass(slots=True, eq=False)
class Window:
    """A stretch of one text: the unit that batches are made of."""

    request: Work = field(
        repr=False
    )  # a traceback that shows a batch would show each request once per window
    text: int
    """Row of the text in its request."""
    place: int
    """Which of the text's windows."""
    ids: TokenIds
    """int32 (tokens), special tokens included."""

    @property
    def tokens(self) -> int:
        """Length in tokens."""
        return len(self.ids)


@dataclass(slots=True, eq=False)
class Work:
    """One request on its way through the queue. `future` gets a list with, per text, its windows' results or a TextFailure."""

    runner: Runner
    lane: Lane
    results: list[list[Any] | TextFailure] = field(repr=False)
    remaining: int
    """Windows without a result."""
    tokens: int
    """Tokens in all windows."""
    context: tuple[Any, ...] = field(default=(), repr=False)
    """What the runner needs to know about each text besides its tokens."""
    deadline: float | None = None
    """Of `time.monotonic`: windows that have not been taken up by then are not computed."""
    future: Future[list[list[Any] | TextFailure]] = field(default_factory=Future)
    waiting_tokens: int = 0
    """Tokens counted as queued for this request; the queue's own."""
    queued_at: float = field(default_factory=time.perf_counter)
    started_at: float | None = None
    """When the engine took up the first window."""

    @property
    def dropped(self) -> bool:
        """Whether the caller has gone away."""
        return self.future.cancelled()

    def late(self, now: float) -> bool:
        """Whether the deadline has passed before anything was computed."""
        return self.deadline is not None and self.started_at is None and now > self.deadline

    def settle(self, window: Window, result: Any) -> bool:
        """Note a window's result (or TextFailure); true when the request is complete, and its future done."""
        current = self.results[window.text]
        if isinstance(result, TextFailure):
            self.results[window.text] = result
        elif not isinstance(current, TextFailure):
            current[window.place] = result
        self.remaining -= 1
        if self.remaining == 0:
            self._finish(lambda: self.future.set_result(self.results))
        return self.remaining == 0

    def fail(self, error: BaseException) -> None:
        """End the whole request with an error."""
        self._finish(lambda: self.future.set_exception(error))

    def _finish(self, settle: Callable[[], None]) -> None:
        if self.future.done():  # the caller has gone away, or the worker is stopping and has said so
            return
        with contextlib.suppress(InvalidStateError):
            if self.future.set_running_or_notify_cancel():
                settle()


def make_work(
    runner: Runner,
    lane: Lane,
    windows_of: Sequence[Sequence[TokenIds] | TextFailure],
    context: Sequence[Any] = (),
    deadline: float | None = None,
) -> tuple[Work, list[Window]]:
    """A request and its windows.

    Args:
        runner: what computes them.
        lane: interactive or bulk.
        windows_of: per text its windows' token ids, or why the text could not be prepared.
        context: per text what the runner needs besides, if anything.
        deadline: of `time.monotonic`, by which it must have been taken up; None: it waits as long as it takes.
    """
    results: list[list[Any] | TextFailure] = [
        entry if isinstance(entry, TextFailure) else [None] * len(entry) for entry in windows_of
    ]
    work = Work(runner, lane, results, 0, 0, tuple(context), deadline)
    windows = [
        Window(work, text, place, ids)
        for text, entry in enumerate(windows_of)
        if not isinstance(entry, TextFailure)
        for place, ids in enumerate(entry)
    ]
    work.remaining = len(windows)
    work.tokens = sum(window.tokens for window in windows)
    if not windows:
        work.future.set_result(results)
    return work, windows
