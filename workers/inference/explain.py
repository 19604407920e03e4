"""Explanations in the worker: one at a time on a thread of their own, whose arithmetic goes through the queue in small pieces.

Interactive requests are taken up between two pieces, and bulk ones too, because the next piece only queues when the last
one is done.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from models.adapters.load import LoadedAdapter
from models.text.explain import (
    METHOD,
    ExplainSettings,
    NothingToExplainError,
    OptionExplanation,
    TextExplanation,
    explain,
)
from workers.inference.explain_wire import ExplainRequest
from workers.inference.queue import Admission, LaneQueue, QueueFullError
from workers.inference.work import Lane, Window, make_work

T = TypeVar("T")

MOST_WAITING = 8
"""Requests for explanations that wait or are at work; the next one is refused."""
DEADLINE_SECONDS = 60.0
_SMOOTHING = 0.3
_ASSUMED_SECONDS = 5.0


class ExplanationLateError(Exception):
    """The deadline has passed."""


class ExplanationAbandonedError(Exception):
    """Nobody waits for the explanation any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """Runs what the queue's windows carry: pieces of one explanation's arithmetic."""

    batching: None = None

    @property
    def company(self) -> Hashable:
        """None but itself."""
        return self

    def run(self, windows: Sequence[Window]) -> Sequence[Any]:
        """Each window's piece; they never fail here, but come back with their error."""
        return [window.request.context[window.text]() for window in windows]


@dataclass(frozen=True, slots=True)
class Turns:
    """A `models.text.explain_model.Carry` through a queue, with a deadline."""

    queue: LaneQueue
    deadline: float
    """Of `time.monotonic`."""
    abandoned: threading.Event

    def __call__(self, tokens: int, piece: Callable[[], T], /) -> T:
        """Have the engine carry out a piece when no interactive request waits.

        Raises:
            ExplanationLateError, ExplanationAbandonedError: instead of going on.
            QueueClosedError, EngineStoppedError: the engine has stopped.
        """
        if self.abandoned.is_set():
            raise ExplanationAbandonedError
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise ExplanationLateError
        ids = np.zeros(tokens, dtype=np.int32)
        work, windows = make_work(Pieces(), Lane.EXPLANATION, [[ids]], [lambda: _tried(piece)])
        self.queue.put(Admission(Lane.EXPLANATION, 0), work, windows)
        try:
            (results,) = work.future.result(left)
        except FutureTimeoutError:
            self.queue.drop(work)
            raise ExplanationLateError from None
        found, error = results[0]  # type: ignore[index]
        if error is not None:
            raise error
        return found  # type: ignore[no-any-return]


class Explanations:
    """One thread that explains. Belongs to one event loop; only the explaining itself runs elsewhere."""

    def __init__(self, seconds: float = DEADLINE_SECONDS, settings: ExplainSettings | None = None) -> None:
        """Args:
        seconds: a request may take, waiting for its turn included.
        settings: how carefully texts are read.
        """
        self._seconds = seconds
        self._settings = settings or ExplainSettings()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="explain")
        self._waiting = 0
        self._lock = threading.Lock()
        self._usual = _ASSUMED_SECONDS

    async def answer(
        self, queue: LaneQueue, adapter: LoadedAdapter, asked: ExplainRequest, gone: Callable[[], Awaitable[object]]
    ) -> list[dict[str, Any]]:  # fmt: skip
        """An entry per text: its explanation, or `{"error": why there is none}`.

        Raises:
            QueueFullError: too many wait already.
            ExplanationAbandonedError: the caller went away; the explaining ends with the piece at hand.
            UnknownOptionError: an option that the adapter does not have.
        """
        abandoned = threading.Event()
        turns = Turns(queue, time.monotonic() + self._seconds, abandoned)
        self._enter()
        running = self._executor.submit(self._explain_all, adapter, asked, turns)
        running.add_done_callback(lambda _: self._leave())
        result = asyncio.wrap_future(running)
        leaving = asyncio.ensure_future(gone())
        either: set[asyncio.Future[Any]] = {result, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise ExplanationAbandonedError
            return result.result()
        finally:
            leaving.cancel()
            abandoned.set()
            result.cancel()

    @property
    def waiting(self) -> int:
        """Requests that wait or are at work."""
        return self._waiting

    def close(self) -> None:
        """Take no more; what is at work fails with the queue's own closing."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _enter(self) -> None:
        with self._lock:
            if self._waiting >= MOST_WAITING:
                raise QueueFullError(self._usual * self._waiting)
            self._waiting += 1

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _explain_all(
        self, adapter: LoadedAdapter, asked: ExplainRequest, turns: Turns
    ) -> list[dict[str, Any]]:
        began = time.monotonic()
        found = [
            self._explain_one(adapter, asked, text, options, turns)
            for text, options in zip(asked.texts, asked.options, strict=True)
        ]
        self._usual += _SMOOTHING * (time.monotonic() - began - self._usual)
        return found

    def _explain_one(
        self, adapter: LoadedAdapter, asked: ExplainRequest, text: str, options: Sequence[str], turns: Turns
    ) -> dict[str, Any]:
        try:
            found = explain(
                adapter, text, options, self._settings, turns, strongest_window=asked.pool == "max"
            )
        except NothingToExplainError as error:
            return {"error": str(error)}
        except ExplanationLateError:
            return {
                "error": f"it took longer than the {self._seconds:g} s that a request for explanations may take: "
                "ask for fewer options or texts, or for a shorter text"
            }
        return document(found, asked.top)


def document(found: TextExplanation, top: int) -> dict[str, Any]:
    """An explanation as JSON, with the `top` weightiest words of each option, strongest first, and the sum of the others."""
    return {
        "method": METHOD,
        "precision": found.precision,
        "windows": found.windows,
        "explained_windows": [list(span) for span in found.explained_windows],
        "sentences_in_text": found.sentences_in_text,
        "options": [_option(found, option, top) for option in found.options],
    }


def _option(found: TextExplanation, option: OptionExplanation, top: int) -> dict[str, Any]:
    weights = option.weights
    order = np.argsort(-np.abs(weights), kind="stable")
    changes = zip(
        found.sentences, option.delta_logit.tolist(), option.delta_probability.tolist(), strict=True
    )
    others: Mapping[str, Any] = {
        "count": max(0, len(order) - top),
        "weight": float(weights[order[top:]].sum()),
    }
    return {
        "key": option.key,
        "logit": option.logit,
        "base_logit": option.base_logit,
        "words": [[*map(int, found.words[place]), float(weights[place])] for place in order[:top]],
        "other_words": others,
        "sentences": [[*span, logit, probability] for span, logit, probability in changes],
        "completeness_error": option.completeness_error,
        "bound": option.bound,
        "steps": option.steps,
    }


def _tried(piece: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """A piece's result or its error: the engine need not know what an explanation does wrong."""
    try:
        return piece(), None
    except Exception as error:  # noqa: BLE001  # raised again in the explaining thread
        return None, error
