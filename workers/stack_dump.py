"""Where a process hangs: files, lines and functions of all its threads, never their values. Asked for by a signal."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import time
from pathlib import Path

FILE = "stack.txt"
ASK = signal.SIGUSR1
_WAIT_SECONDS = 3.0
_MOST_LINES = 40
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]*)", line (?P<line>\d+) in (?P<name>\S+)')


def dump_on_signal(folder: Path) -> None:
    """Write this process's stacks into `folder` whenever the signal comes. The C handler works in a process that hangs in C."""
    file = (folder / FILE).open("w", encoding="utf-8")
    faulthandler.register(ASK, file=file, all_threads=True)


def ask_for_stack(pid: int, folder: Path) -> tuple[str, ...]:
    """The stacks of a child that called `dump_on_signal`, innermost frame first: `name.py:12 function`; empty where none came."""
    path = folder / FILE
    if not path.exists():  # it does not listen yet: the signal would end it without a word
        return ()
    before = path.stat().st_size
    try:
        os.kill(pid, ASK)
    except ProcessLookupError:
        return ()
    deadline, seen = time.monotonic() + _WAIT_SECONDS, ""
    while time.monotonic() < deadline:
        time.sleep(0.1)
        written = path.read_text(encoding="utf-8", errors="replace")[before:]
        if written and written == seen:
            break
        seen = written
    return frames(seen)


def frames(dump: str) -> tuple[str, ...]:
    """The lines of a dump without folders: a line for every thread's heading and frame, the thread that was at work first."""
    threads: list[list[str]] = []
    for line in dump.splitlines():
        frame = _FRAME.match(line)
        if line.startswith(("Thread", "Current thread")):
            threads.append([line.split(" [")[0].split(" (most")[0]])
        elif frame is not None and threads:
            threads[-1].append(f"{Path(frame['path']).name}:{frame['line']} {frame['name']}")
    at_work_first = sorted(threads, key=lambda lines: not lines[0].startswith("Current"))
    return tuple(line for lines in at_work_first for line in lines)[:_MOST_LINES]
