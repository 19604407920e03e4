"""`remand up`: starts every part in order, keeps them running, and stops them in reverse order."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, Protocol

from app.stack import logs
from app.stack.account import Account
from app.stack.embedded import log_end
from app.stack.errors import PartFailed, StackError
from app.stack.folders import LEAST_FREE_BYTES, free_bytes
from app.stack.parts import SERVERS, Part
from app.stack.program import Program, launch, stop
from app.stack.running import RunningPart
from app.stack.state import StackState, write_state

TICK_SECONDS = 0.1
CARE_SECONDS = 5.0
STOP_SECONDS = {3: 21.0, 2: 23.0, 1: 28.0}
"""By rank: when its parts must have ended, counted from the request to stop; jobs need time for a checkpoint."""
EVENTS_KEPT = 50


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or `remand down`."""


class Screen(Protocol):
    """Where the operator sees what happens."""

    def report(self, message: str) -> None:
        """One line of news."""

    def show(self, state: StackState) -> None:
        """The parts as they are now; called several times a second."""


@dataclass(slots=True)
class Supervisor:
    """The parts of one data folder. Use it from the main thread, inside `stoppable`."""

    folder: Path
    account: Account
    screen: Screen
    url: str
    database_url: str = ""
    redis_url: str = ""
    parts: list[RunningPart] = field(default_factory=list)
    phase: Literal["starting", "ready", "stopping"] = "starting"
    started: float = field(default_factory=time.time)
    events: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    stop_signals: int = 0
    probes: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "probe"))
    _wake: threading.Event = field(default_factory=threading.Event)
    _written: StackState | None = None
    _next_care: float = 0.0
    _disk_low: bool = False

    def start(self, parts: tuple[Part, ...]) -> None:
        """Start parts together and wait until all of them answer. PartFailed at the first death, StopRequested on Ctrl-C."""
        fresh = [RunningPart(part, self.folder / "logs" / f"{part.name}.log", self.account) for part in parts]
        self.parts += fresh
        for running in fresh:
            running.start()
        while not all(running.answered for running in fresh):
            self.tick()
            for running in fresh:
                if running.condition == "restarting" and not running.answered:
                    news = self.events[-1].partition(";")[0] if self.events else running.part.name
                    raise PartFailed(f"{news}. {running.log} ends:\n{log_end(running.log)}")

    def run_to_end(self, name: str, program: Program) -> None:
        """Run a program that ends by itself, with a log of its own; PartFailed when its status is not 0."""
        path = self.folder / "logs" / f"{name}.log"
        with logs.open_log(path, self.account) as output:
            process = launch(program, output)
        try:
            while process.poll() is None:
                self.tick()
        finally:
            stop(process, program)
        if process.returncode != 0:
            raise PartFailed(
                f"The {name} ended with status {process.returncode}. {path} ends:\n{log_end(path)}"
            )

    def run(self) -> None:
        """Watch the parts until somebody asks to stop (raises StopRequested)."""
        self.phase = "ready"
        while True:
            self.tick()

    def tick(self) -> None:
        """One look at every part; then a short wait that a signal cuts short."""
        for running in self.parts:
            if news := running.watch(self.probes):
                self.report(news)
        if time.monotonic() >= self._next_care:
            self._next_care = time.monotonic() + CARE_SECONDS
            self._care()
        self._publish()
        self._wake.wait(TICK_SECONDS)
        if self.stop_signals:
            raise StopRequested

    def report(self, message: str) -> None:
        """News for the operator; kept for `remand status`."""
        self.events.append(f"{time.strftime('%H:%M:%S')} {message}")
        self.screen.report(message)

    def stop(self) -> None:
        """Stop the parts, highest rank first and all of one rank together; within 30 s, at once after a second Ctrl-C."""
        self.phase = "stopping"
        begun = time.monotonic()
        for rank in sorted({running.part.rank for running in self.parts}, reverse=True):
            self._stop_rank([r for r in self.parts if r.part.rank == rank], begun + STOP_SECONDS[rank])
        self.probes.shutdown(wait=False, cancel_futures=True)

    def _stop_rank(self, group: list[RunningPart], deadline: float) -> None:
        """Signal all of a group, wait for all, then make sure."""
        alive = [(r, r.process) for r in group if r.process is not None and r.process.poll() is None]
        for running, process in alive:
            running.mark("stopping")
            process.send_signal(running.part.program.stop[0][0])
        self._publish()
        while any(process.poll() is None for _, process in alive) and time.monotonic() < deadline:
            if self.stop_signals > 1 and group[0].part.rank > SERVERS:
                break
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
        for running in group:
            if running.process is not None:
                stop(running.process, running.part.program, deadline=time.monotonic())
            running.mark("stopped")
        self._publish()

    def _care(self) -> None:
        """Rotate logs and watch the disk."""
        for path in (self.folder / "logs").glob("*.log"):
            logs.rotate(path)
        free = free_bytes(self.folder)
        low = free < LEAST_FREE_BYTES
        if low and not self._disk_low:
            self.report(f"the disk under {self.folder} is almost full: {free // 2**20} MiB free")
        self._disk_low = low

    def _publish(self) -> None:
        """Show the state, and write it when something other than the clock has changed."""
        state = StackState(
            os.getpid(), self.phase, self.started, self.url, self.database_url, self.redis_url,
            tuple(running.state() for running in self.parts), tuple(self.events),
        )  # fmt: skip
        self.screen.show(state)
        if state != self._written:
            try:
                write_state(self.folder, state, self.account)
            except StackError:
                return  # a full disk must not end a stack that runs; tried again at the next change
            self._written = state

    def _take_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_signals += 1
        self._wake.set()


@contextmanager
def stoppable(supervisor: Supervisor) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP ask the supervisor to stop; whatever happens inside, the parts are stopped at the end."""
    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, supervisor._take_signal) for number in watched}  # noqa: SLF001
    try:
        yield
    finally:
        supervisor.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
