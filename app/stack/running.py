"""One part while it is supervised: start, death, restart with backoff, probes."""

import subprocess
import time
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.stack.account import Account
from app.stack.logs import open_log
from app.stack.parts import Part
from app.stack.program import kill, launch
from app.stack.state import Condition, PartState

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STABLE_SECONDS = 60.0
STARTING_PROBE = 0.1
READY_PROBE = 10.0


def restart_pause(failures: int) -> float:
    """Seconds before the next start after so many failures in a row (0 at the first): doubling, at most 30."""
    return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10)))


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


@dataclass(slots=True)
class RunningPart:
    """A part with its process. Times are time.time() for people (`since`), time.monotonic() for waiting."""

    part: Part
    log: Path
    account: Account
    condition: Condition = "waiting"
    since: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    failures: int = 0
    started: float = 0.0
    next_action: float = 0.0
    answered: bool = False
    probe: Future[bool] | None = None

    def start(self) -> None:
        """Launch it; call from the main thread only (the kernel ends it with the thread that launched it)."""
        with closing(open_log(self.log, self.account)) as output:
            self.process = launch(self.part.program, output)
        self.started = self.next_action = time.monotonic()
        self.answered, self.probe = False, None
        self._become("starting")

    def watch(self, probes: Executor) -> str | None:
        """Take one look: notice a death, restart when its pause is over, probe; a sentence when there is news."""
        if self.condition == "restarting":
            if time.monotonic() >= self.next_action:
                self.restarts += 1
                self.start()
            return None
        if self.process is None:
            return None
        if (status := self.process.poll()) is not None:
            return self._died(ending(status))
        if not self.answered and time.monotonic() - self.started > self.part.start_seconds:
            kill(self.process)
            self.process.wait()
            return self._died(f"did not answer within {self.part.start_seconds:.0f} s of its start")
        return self._look_at_probe(probes)

    def state(self) -> PartState:
        """What other commands may see."""
        alive = self.process is not None and self.process.returncode is None
        pid = self.process.pid if alive and self.process is not None else None
        return PartState(self.part.name, self.condition, pid, self.since, self.restarts, self.part.address)

    def mark(self, condition: Condition) -> None:
        """Set the condition from outside, at the stack's end."""
        self._become(condition)

    def _died(self, how: str) -> str:
        """Plan the next start: soon after a long good run, later and later after quick deaths."""
        if self.process is not None:
            kill(self.process)  # what is left of its group
        long_enough = self.answered and time.monotonic() - self.started > STABLE_SECONDS
        self.failures = 0 if long_enough else self.failures
        pause = restart_pause(self.failures)
        self.failures += 1
        self.next_action = time.monotonic() + pause
        self._become("restarting")
        return f"{self.part.name} {how}; starting it again in {pause:g} s (log: {self.log})"

    def _look_at_probe(self, probes: Executor) -> str | None:
        """Send the next probe, or read the answer of the last."""
        if self.probe is None:
            if time.monotonic() >= self.next_action:
                self.probe = probes.submit(self._answers)
            return None
        if not self.probe.done():
            return None
        answer, self.probe = self.probe.result(), None
        return self._answered(answer)

    def _answers(self) -> bool:
        """The part's own probe; whatever it raises means no answer."""
        try:
            return self.part.answers()
        except Exception:  # noqa: BLE001  (a probe of a starting server fails in every possible way)
            return False

    def _answered(self, answer: bool) -> str | None:
        """Take a probe's answer into the condition; a sentence when an answering part fell silent or came back."""
        self.next_action = time.monotonic() + (
            READY_PROBE if answer else STARTING_PROBE if not self.answered else 2.0
        )
        before = self.condition
        if answer:
            self.answered = True
            if before != "ready":
                self._become("ready")
                return f"{self.part.name} is back" if before == "not answering" or self.restarts else None
        elif self.answered and before == "ready":
            self._become("not answering")
            return f"{self.part.name} does not answer (log: {self.log})"
        return None

    def _become(self, condition: Condition) -> None:
        self.condition, self.since = condition, time.time()
