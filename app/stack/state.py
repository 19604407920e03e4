"""What a running stack tells the other commands: a locked file says that it runs, a JSON file says how."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from app.stack.account import Account
from app.stack.errors import AlreadyRunning
from app.stack.folders import private_file, unusable

LOCK = "supervisor.lock"
STATE = "state.json"
CONNECTION = "connection.json"

Condition = Literal["waiting", "starting", "ready", "not answering", "restarting", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class PartState:
    """One part as last seen: its process, since when (Unix seconds) it is in this condition, and its restarts."""

    name: str
    condition: Condition
    pid: int | None
    since: float
    restarts: int
    address: str


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as last seen. `phase` becomes "ready" once every part has answered."""

    pid: int
    phase: Literal["starting", "ready", "stopping"]
    started: float
    url: str
    database_url: str
    redis_url: str
    parts: tuple[PartState, ...]
    events: tuple[str, ...] = field(default=())


def write_state(folder: Path, state: StackState, account: Account) -> None:
    """Replace the state file (0600: it holds the servers' passwords)."""
    private_file(folder / STATE, json.dumps(asdict(state)), account)


def read_state(folder: Path) -> StackState | None:
    """The last written state; None when there is none or it is not readable as one."""
    try:
        document = json.loads((folder / STATE).read_text(encoding="utf-8"))
        parts = tuple(PartState(**part) for part in document.pop("parts"))
        return StackState(**(document | {"parts": parts, "events": tuple(document["events"])}))
    except (OSError, ValueError, TypeError, KeyError):
        return None


@contextmanager
def only_supervisor(folder: Path, account: Account) -> Iterator[None]:
    """Hold the folder's lock; AlreadyRunning names the process and address of the one that has it."""
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unusable(folder, error) from error
    with os.fdopen(descriptor, "r+") as file:
        if not _lock(file, attempts=5):  # `remand status` tries the lock for a moment, too
            raise AlreadyRunning(_who_runs(folder, file.read().strip()))
        if account.switch:
            os.fchown(file.fileno(), account.uid, account.gid)
        try:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        except OSError as error:
            raise unusable(folder, error) from error
        yield


def running_pid(folder: Path) -> int | None:
    """The process that holds the folder's lock, if one does."""
    try:
        with (folder / LOCK).open("r+") as file:
            if _lock(file, attempts=1):
                return None
            text = file.read().strip()
            return int(text) if text.isdigit() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(folder, error) from error


def _lock(file: IO[str], attempts: int) -> bool:
    """Try to lock the file, 50 ms apart; true once it is locked by this process."""
    for attempt in range(attempts):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < attempts:
                time.sleep(0.05)
        else:
            return True
    return False


def _who_runs(folder: Path, pid: str) -> str:
    """The message for a second `up`."""
    state = read_state(folder)
    address = f" at {state.url}" if state is not None and str(state.pid) == pid else ""
    return f"Remand is running already{address} (process {pid or 'unknown'}, data in {folder}). `remand status` shows it, `remand down` stops it."
