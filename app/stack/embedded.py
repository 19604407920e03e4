"""Embedded Postgres and Redis as context managers: for the commands that need only the servers, and for tests.

    with embedded_postgres(folder) as dsn, embedded_redis(folder) as url: …

Start them from a thread that outlives the block (the main thread): the kernel ends them with the thread that launched them.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.stack.account import service_account
from app.stack.binaries import runnable_binaries
from app.stack.errors import PartFailed
from app.stack.folders import private_folder
from app.stack.postgres import postgres_answers, prepare_postgres
from app.stack.program import Program, launch, stop
from app.stack.redis_server import prepare_redis, redis_answers

START_SECONDS = 60.0


@contextmanager
def embedded_postgres(folder: Path, *, throwaway: bool = False) -> Iterator[str]:
    """A running Postgres with its data under `folder`/postgres; gives the libpq URI of its database `remand`.

    throwaway: without fsync, for tests. Raises StackError's kinds; the log is `folder`/postgres/server.log.
    """
    account = service_account()
    private_folder(folder, account)
    server = prepare_postgres(
        folder, runnable_binaries(account, folder / "bin").postgres, account, throwaway=throwaway
    )
    with _running(server.program, folder / "postgres" / "server.log", lambda: postgres_answers(server.url)):
        yield server.url


@contextmanager
def embedded_redis(folder: Path) -> Iterator[str]:
    """A running Redis on a free loopback port; gives its redis:// URL with the password."""
    account = service_account()
    private_folder(folder, account)
    server = prepare_redis(folder, runnable_binaries(account, folder / "bin").redis, account)
    with _running(server.program, folder / "redis" / "server.log", lambda: redis_answers(server.url)):
        yield server.url


@contextmanager
def _running(program: Program, log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """The program from its first answer to the end of the block."""
    with log.open("ab") as output:
        process = launch(program, output)
    try:
        wait_until_ready(process, answers, log)
        yield
    finally:
        stop(process, program)


def wait_until_ready(process: subprocess.Popen[bytes], answers: Callable[[], bool], log: Path) -> None:
    """Poll until `answers`; PartFailed with the log's end when the process ends first or 60 s pass."""
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        if process.poll() is not None:
            raise PartFailed(
                f"It ended with status {process.returncode} before it was ready. {log} ends:\n{log_end(log)}"
            )
        if time.monotonic() > deadline:
            raise PartFailed(f"It was not ready after {START_SECONDS:.0f} s. {log} ends:\n{log_end(log)}")
        time.sleep(0.05)


def log_end(log: Path, lines: int = 8) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 16384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
