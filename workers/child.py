"""A job's child process: started on a leash, heard through its output, asked and killed as a process group."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from app.jobs.kinds import Kind
from app.jobs.leases import Claim
from app.settings import Settings
from app.stack.account import current_account
from app.stack.program import Program, kill, launch
from workers.devices import Device

LAST_LINES = 8
LINE_LENGTH = 400


@dataclass(frozen=True, slots=True)
class Child:
    """A running child with the thread that passes its output on and keeps the last lines."""

    process: subprocess.Popen[bytes]
    listener: threading.Thread
    lines: deque[str]

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, waiting up to `seconds` for it."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.poll() is not None

    @property
    def status(self) -> int:
        """Exit status of the ended child; the negative number of the signal that ended it."""
        return int(self.process.wait())

    def ask(self, word: str) -> None:
        """Ask it to stop: the word on stdin says why, SIGTERM reaches it wherever it is."""
        with suppress(OSError):
            assert self.process.stdin is not None
            self.process.stdin.write(f"{word}\n".encode())
            self.process.stdin.flush()
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL it and its process group."""
        kill(self.process)

    def last_words(self) -> str:
        """The last lines it wrote, joined."""
        self.listener.join(2.0)
        return " / ".join(self.lines)


def start_child(kind: Kind, claimed: Claim, device: Device | None, settings: Settings) -> Child:
    """Start `python -m module job fence` so that it dies with this thread; OSError when the system cannot."""
    program = Program(
        (sys.executable, "-m", kind.module, claimed.job_id, str(claimed.fence)),
        current_account(),
        {**os.environ, **(device.environment if device else {}), "PYTHONUNBUFFERED": "1"},
        nice=settings.trainer_nice if device is not None and device.name == "cpu" else 0,
    )
    process = launch(program, subprocess.PIPE)
    lines: deque[str] = deque(maxlen=LAST_LINES)
    listener = threading.Thread(
        target=_listen, args=(process, lines), name=f"listen-{claimed.job_id}", daemon=True
    )
    listener.start()
    return Child(process, listener, lines)


def _listen(process: subprocess.Popen[bytes], lines: deque[str]) -> None:
    """Pass the child's output on to this worker's; lines that are no log records are kept as its last words."""
    assert process.stdout is not None
    with suppress(ValueError), process.stdout as output:
        for raw in output:
            line = raw.decode(errors="replace").rstrip()
            sys.stderr.write(line + "\n")
            if line and not line.startswith("{"):
                lines.append(line[:LINE_LENGTH])
