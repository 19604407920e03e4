"""One program of the stack: what is run, as whom, and how it is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from app.stack.account import Account

LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True)
class Program:
    """A command with its user, environment and signals.

    stop: signals tried in turn, each with the seconds it is given; SIGKILL to the whole group always follows.
    orphaned: the signal the kernel sends when the process that launched it dies.
    """

    command: tuple[str, ...]
    account: Account
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    stop: tuple[tuple[signal.Signals, float], ...] = ((signal.SIGTERM, 25.0),)
    orphaned: signal.Signals = signal.SIGKILL
    nice: int = 0


def launch(program: Program, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start it in a session of its own (a Ctrl-C in the terminal reaches only the supervisor), tied to this thread's life.

    `output` takes stdout and stderr. The child's stdin is a pipe that closes with this process.
    """
    options = [f"parent={os.getpid()}", f"signal={int(program.orphaned)}"]
    if program.account.switch:
        options += [f"uid={program.account.uid}", f"gid={program.account.gid}"]
    if program.account.reads_all:
        options.append("readall=1")
    if program.nice:
        options.append(f"nice={program.nice}")
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LEASH), *options, "--", *program.command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(program.environment),
        cwd=program.folder,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], program: Program, deadline: float | None = None) -> int:
    """End a launched program with its own signals, then SIGKILL to its group; gives the exit status.

    deadline: a time.monotonic() after which nothing is waited for any longer.
    """
    for number, seconds in program.stop:
        if process.poll() is not None:
            break
        process.send_signal(number)
        left = seconds if deadline is None else max(0.1, min(seconds, deadline - time.monotonic()))
        with suppress(subprocess.TimeoutExpired):
            process.wait(left)
    kill(process)
    return process.wait()


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the program and whatever is left of its session's process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
