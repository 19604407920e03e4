"""Readers without a model: a text's tokens are its characters, its answer is its length."""

import threading
from dataclasses import dataclass, field

import numpy as np

from models.encoder.pace import Batching
from workers.inference.reading import Answer, Prepared
from workers.inference.work import Lane, TextFailure, make_work

POISON = "poison"


@dataclass(eq=False)
class FakeReader:
    """Answers every option with the number of a text's characters; fails for POISON, waits where a gate is given."""

    name: str = "fake"
    size: int = 1
    options: int = 2
    window: int = 10
    gate: threading.Event | None = None
    started: threading.Event = field(default_factory=threading.Event)
    batches: list = field(default_factory=list)
    batching: Batching | None = None
    friends: str = ""
    """Readers that have the same here are read together."""

    @property
    def company(self):
        return self.friends or self

    @property
    def description(self):
        even = [0.5] * self.options
        return {
            "option_keys": [f"o{i}" for i in range(self.options)], "thresholds": even, "lone_thresholds": even,
        }  # fmt: skip

    def prepare(self, texts, plan):
        windows_of = [
            TextFailure("no tokens") if text == "unreadable" else self._windows(text) for text in texts
        ]
        spans = tuple(
            ()
            if isinstance(windows, TextFailure)
            else tuple((i * self.window, (i + 1) * self.window) for i in range(len(windows)))
            for windows in windows_of
        )
        return Prepared(tuple(windows_of), spans, tuple(texts))

    def _windows(self, text):
        pieces = [text[i : i + self.window] for i in range(0, len(text), self.window)] or [""]
        return [np.array([ord(c) for c in piece], dtype=np.int32) for piece in pieces]

    def run(self, windows):
        self.started.set()
        if self.gate is not None:
            assert self.gate.wait(10)
        self.batches.append([(window.request.lane, window.tokens) for window in windows])
        if any(POISON in window.request.context[window.text] for window in windows):
            raise RuntimeError("cannot")
        return [float(window.tokens) for window in windows]

    def finish(self, prepared, results, plan, pool):
        failures = {row: found for row, found in enumerate(results) if isinstance(found, TextFailure)}
        numbers = [np.nan if row in failures else sum(results[row]) for row in range(len(results))]
        probabilities = np.repeat(np.array(numbers, dtype=np.float32)[:, None], self.options, axis=1)
        embeddings = np.ones((len(results), 3), dtype=np.float32) if plan.embeddings else None
        return Answer(failures, probabilities, np.zeros(probabilities.shape, np.int32), embeddings)


def work_of(reader, texts, lane=Lane.INTERACTIVE, deadline=None):
    """A request of a fake reader with its windows."""
    prepared = reader.prepare(texts, None)
    return make_work(reader, lane, prepared.windows_of, prepared.context, deadline)


def put(queue, reader, texts, lane=Lane.INTERACTIVE, deadline=None):
    """Queue texts; the request."""
    work, windows = work_of(reader, texts, lane, deadline)
    queue.put(queue.admit(lane, work.tokens), work, windows)
    return work
