"""The embedded Postgres: a real server as a foreground child, reached over a Unix socket with a password."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from app.stack.account import Account
from app.stack.errors import FolderUnusable, PartFailed
from app.stack.folders import private_file, private_folder, socket_folder, unusable
from app.stack.program import Program, launch

USER = "remand"
DATABASE = "remand"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements, details and contexts would carry the content of texts into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "max_wal_size": "2GB",
}
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A prepared cluster: its program, and the address as a libpq URI."""

    program: Program
    url: str


def prepare_postgres(
    folder: Path, binaries: Path, account: Account, *, throwaway: bool = False
) -> PostgresServer:
    """Make the cluster under `folder`/postgres at first use (complete or absent) and give what starts it.

    throwaway: no fsync, for tests only. Raises FolderUnusable or PartFailed.
    """
    home = private_folder(folder / "postgres", account)
    data = home / "data"
    if not data.exists():
        _initialize(home, binaries, account, durable=not throwaway)
    elif not (data / "PG_VERSION").exists():
        raise FolderUnusable(
            f"{data} is not a Postgres cluster. Move it away, or choose another folder with REMAND_HOME."
        )
    _check_version(data, binaries)
    _remove_stale_lock(data)
    sockets = socket_folder(folder, account)
    settings = SETTINGS | {"unix_socket_directories": str(sockets)} | (THROWAWAY if throwaway else {})
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    password = (home / "password").read_text(encoding="utf-8").strip()
    return PostgresServer(
        Program(
            (str(binaries / "postgres"), "-D", str(data), *options),
            account,
            ENVIRONMENT,
            home,
            stop=((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0)),  # fast, then immediate shutdown
            orphaned=signal.SIGINT,
        ),
        database_url(sockets, password),
    )


def database_url(sockets: Path, password: str, database: str = DATABASE) -> str:
    """The libpq URI over a Unix socket; takes any path."""
    return f"postgresql://{USER}:{quote(password, safe='')}@/{database}?host={quote(str(sockets), safe='')}"


def postgres_answers(url: str) -> bool:
    """Whether the server takes connections and its database exists; makes the database at first start."""
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return f'database "{DATABASE}" does not exist' in str(error) and _create_database(url)
    return True


def _create_database(url: str) -> bool:
    """Make the database `remand` from the maintenance database; true once it is there."""
    maintenance = url.replace(f"@/{DATABASE}?", "@/postgres?", 1)
    with (
        suppress(psycopg.errors.DuplicateDatabase),
        psycopg.connect(maintenance, autocommit=True) as connection,
    ):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    return True


def _initialize(home: Path, binaries: Path, account: Account, *, durable: bool) -> None:
    """initdb under a temporary name, then rename, so that an interrupted start leaves no half cluster."""
    partial = home / "data.part"
    shutil.rmtree(partial, ignore_errors=True)
    password = private_file(home / "password", secrets.token_urlsafe(32) + "\n", account)
    command = (
        str(binaries / "initdb"), f"--pgdata={partial}", f"--username={USER}", f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", *(() if durable else ("--no-sync",)),
    )  # fmt: skip
    process = launch(Program(command, account, ENVIRONMENT, home), subprocess.PIPE)
    output, _ = process.communicate()
    if process.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise _initdb_failure(home, output.decode(errors="replace"))
    try:
        partial.rename(home / "data")
    except OSError as error:
        raise unusable(home, error) from error


def _initdb_failure(home: Path, output: str) -> FolderUnusable | PartFailed:
    """The reason initdb gave, in the operator's terms where it is a known one."""
    if "No space left on device" in output:
        return FolderUnusable(
            f"The disk under {home} is full: Postgres could not make its files. Make room and start again."
        )
    reason = next(
        (line for line in output.splitlines() if "error" in line.lower() or line.startswith("remand:")), ""
    )
    return PartFailed(f"Postgres could not make its files under {home}: {reason or output.strip()[-500:]}")


def _check_version(data: Path, binaries: Path) -> None:
    """A cluster is bound to its major version: say so instead of letting the server fail."""
    cluster = (data / "PG_VERSION").read_text().strip()
    shown = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=False
    ).stdout
    if f") {cluster}." not in shown:
        raise PartFailed(
            f"The data in {data} was made by Postgres {cluster}, installed is {shown.strip() or 'another version'}. "
            "Back up with the release that made it (`remand backup`) and restore into an empty folder."
        )


def _remove_stale_lock(data: Path) -> None:
    """Drop postmaster.pid when its process is not a Postgres: after a reboot the number may be another program's."""
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return
    deadline = time.monotonic() + 30.0
    while _is_postgres(pid, data) and time.monotonic() < deadline:
        time.sleep(0.1)  # the server of a killed supervisor is shutting down
    if _is_postgres(pid, data):
        raise PartFailed(
            f"A Postgres (process {pid}) still runs on {data}. Stop it (kill -INT {pid}) and start again."
        )
    with suppress(FileNotFoundError):
        if int(lock.read_text().split()[0]) == pid:
            lock.unlink()


def _is_postgres(pid: int, data: Path) -> bool:
    """Whether that process is a Postgres server on this very folder."""
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    return bool(command) and os.path.basename(command[0]) == "postgres" and str(data) in command  # noqa: PTH119
