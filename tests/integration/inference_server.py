"""A real inference worker over HTTP around any readers, in this process: started, stopped and started again on one port."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import uvicorn

from workers.inference.engine import Engine
from workers.inference.metrics import Metrics
from workers.inference.queue import LaneQueue
from workers.inference.reading import Reader
from workers.inference.residents import Residents
from workers.inference.server import create_server
from workers.inference.service import Service


class InferenceServer:
    """One worker; `restart` gives it a new engine and an empty queue on the same port, as a supervisor would."""

    def __init__(
        self,
        adapter: Callable[[str], Reader],
        base: Callable[[str], Reader],
        limit: int = 100_000,
        budget: int = 4096,
    ) -> None:
        self._load = (adapter, base)
        self._limit, self._budget = limit, budget
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.service: Service
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        queue = LaneQueue(self._limit)
        metrics = Metrics(queue.lane_tokens, lambda: queue.tokens_per_second, lambda: 0)
        engine = Engine(queue, self._budget, observe=metrics.batch)
        loader = ThreadPoolExecutor(1)
        adapter, base = self._load
        self.service = Service(
            queue,
            engine,
            Residents(adapter, 1 << 30, loader),
            Residents(base, 1 << 30, loader),
            ThreadPoolExecutor(2),
        )

        async def nothing() -> None:
            pass

        app = create_server(self.service, metrics, "", nothing)
        config = uvicorn.Config(app, "127.0.0.1", self.port, log_config=None, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(20), "the worker did not start"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _serve(self, started: threading.Event) -> None:
        startup, shutdown = self._server.startup, self._server.shutdown

        async def told(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            started.set()

        async def gone(sockets: list[socket.socket] | None = None) -> None:
            await shutdown(sockets)
            for connection in list(self._server.server_state.connections):  # as the end of a process does
                connection.transport.abort()
            await asyncio.sleep(0)

        self._server.startup = told  # type: ignore[method-assign]
        self._server.shutdown = gone  # type: ignore[method-assign]
        self._server.run()


@contextmanager
def serving(
    adapter: Callable[[str], Reader], base: Callable[[str], Reader], **rest: int
) -> Iterator[InferenceServer]:
    """A worker for the length of a block."""
    server = InferenceServer(adapter, base, **rest)
    try:
        yield server
    finally:
        server.stop()


def until(condition: Callable[[], object], seconds: float = 90.0) -> object:
    """Wait for a condition to hold; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found
