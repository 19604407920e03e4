"""The engine: one thread that owns the models' arithmetic. Schedule, run, hand out, again.

A GPU computes beside it: the next batch is made ready and begun there before the one at hand is fetched and handed out, so that the
GPU never waits for this thread. On a CPU there is nobody to compute beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
import torch

from workers.inference.queue import LaneQueue
from workers.inference.work import Ahead, TextFailure, Window

log = structlog.get_logger()

BROKEN_AFTER = 3
"""Batches of several windows in a row of which none could be computed: then the device is broken, not the texts."""
_LOOK_SECONDS = 1.0

Observe = Callable[[Sequence[Window], float], None]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Windows whose turn has come."""

    windows: Sequence[Window]
    fetch: Callable[[], Sequence[Any]] | None
    """Waits for what a device computes of them; None: they are still to be run on this thread."""
    began: float = 0.0


class EngineBrokenError(Exception):
    """Nothing can be computed any more: the worker must be restarted."""


class EngineStoppedError(Exception):
    """The worker is shutting down."""


class Engine:
    """Runs batches from a queue on its own thread until it is stopped or breaks."""

    def __init__(
        self,
        queue: LaneQueue,
        budget: int,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
        observe: Observe | None = None,
    ) -> None:
        """Args:
        queue: where batches come from.
        budget: tokens per batch, padding included, of runners that have no batching of their own.
        context: entered once on the engine's thread (inference mode, thread count).
        observe: told of each batch and its seconds, for metrics.
        """
        self._queue = queue
        self._budget = budget
        self._context = context
        self._observe = observe
        self._stopping = threading.Event()
        self._fruitless = 0
        self._under_way: _Batch | None = None
        self._last_end = 0.0
        self.ended: Future[None] = Future()
        """Done when the thread has ended, for whatever reason."""
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether batches are still being computed."""
        return self._thread.is_alive()

    def stop(self, timeout: float = 10.0) -> None:
        """Finish the batch at hand, fail what waits, end the thread."""
        self._stopping.set()
        self._queue.close(EngineStoppedError("the inference worker is stopping"))
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _main(self) -> None:
        try:
            with self._context():
                while not self._stopping.is_set():
                    self._step()
                self._finish_under_way()
        except BaseException as error:  # whatever ended the thread, its callers must hear of it
            log.exception("engine stopped", error=type(error).__name__)
            self._queue.close(error)
        finally:
            self.ended.set_result(None)

    def _step(self) -> None:
        windows = self._queue.take(self._budget, _LOOK_SECONDS if self._under_way is None else 0)
        following = _begun(windows) if windows else None
        self._finish_under_way()
        if following is None:
            return
        if following.fetch is None:
            self._finish(following)
        else:
            self._under_way = following

    def _finish_under_way(self) -> None:
        batch, self._under_way = self._under_way, None
        if batch is not None:
            self._finish(batch)

    def _finish(self, batch: _Batch) -> None:
        """Have a batch's results, and hand them out."""
        windows = batch.windows
        began = _note_begin(windows) if batch.fetch is None else max(batch.began, self._last_end)
        results = self._results(windows, batch.fetch)
        self._last_end = time.perf_counter()
        seconds = self._last_end - began
        self._queue.done(windows, seconds)  # first: an answer tells what is queued, and is not queued itself
        for window, result in zip(windows, results, strict=True):
            window.request.settle(window, result)
        self._queue.settled(windows)
        if self._observe is not None:
            self._observe(windows, seconds)

    def _results(
        self, windows: Sequence[Window], fetch: Callable[[], Sequence[Any]] | None = None
    ) -> Sequence[Any]:
        """One result per window, by `fetch` where they were begun.

        A batch that does not fit into memory is run in halves; one that fails is run again window by window, so that only the
        culprit's text fails.
        """
        try:
            results = (fetch or partial(windows[0].request.runner.run, windows))()
        except torch.OutOfMemoryError as error:
            log.warning("batch too large for memory", windows=len(windows), error=str(error)[:200])
            if len(windows) == 1:
                return [TextFailure("it did not fit into the memory of the model's device")]
        except Exception as error:  # noqa: BLE001  # any failure of a batch belongs to a text until proved otherwise
            log.warning("batch failed", error=type(error).__name__, windows=len(windows))
            results = [_alone(window) for window in windows] if len(windows) > 1 else [_failure(error)]
            self._note_fruitless(results)
            return results
        else:
            self._fruitless = 0
            return results
        return self._halves(windows)  # out here the error, and what its frames held in memory, is gone

    def _halves(self, windows: Sequence[Window]) -> Sequence[Any]:
        """The results of a batch that was too large for memory, and smaller batches from now on."""
        self._queue.too_large(sum(window.tokens for window in windows))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = len(windows) // 2
        return [*self._results(windows[:middle]), *self._results(windows[middle:])]

    def _note_fruitless(self, results: Sequence[Any]) -> None:
        if len(results) > 1 and all(isinstance(result, TextFailure) for result in results):
            self._fruitless += 1
        elif len(results) > 1:
            self._fruitless = 0
        if self._fruitless >= BROKEN_AFTER:
            raise EngineBrokenError(f"{BROKEN_AFTER} batches in a row failed in every text")


def _begun(windows: Sequence[Window]) -> _Batch:
    """A batch, begun where its runner's device computes beside this thread."""
    runner = windows[0].request.runner
    fetch = None
    if isinstance(runner, Ahead):
        try:
            fetch = runner.begin(windows)
        except Exception as error:  # noqa: BLE001  # run when the batch before it is done, it may fit, or shows again what is wrong
            log.info("batch not begun ahead", error=type(error).__name__, windows=len(windows))
    return _Batch(windows, None) if fetch is None else _Batch(windows, fetch, _note_begin(windows))


def _note_begin(windows: Sequence[Window]) -> float:
    """Now, noted with each request that nothing was begun of before."""
    now = time.perf_counter()
    for window in windows:
        if window.request.started_at is None:
            window.request.started_at = now
    return now


def _alone(window: Window) -> Any:
    try:
        return window.request.runner.run([window])[0]
    except Exception as error:  # noqa: BLE001  # as above
        return _failure(error)


def _failure(error: Exception) -> TextFailure:
    return TextFailure(f"the model could not read it ({type(error).__name__})")
