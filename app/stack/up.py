"""Composes the whole stack from the settings: servers, schema, first key, Python parts."""

from collections.abc import Callable
from pathlib import Path

from app.settings import Settings
from app.stack.account import Account, service_account
from app.stack.addresses import Addresses, choose_addresses
from app.stack.binaries import runnable_binaries
from app.stack.connection import Access, give_access
from app.stack.credentials import load_secrets
from app.stack.errors import FolderUnusable
from app.stack.folders import check_space, home_folder, private_folder
from app.stack.parts import SERVERS, Part, migration, part_environment, python_account, python_parts
from app.stack.postgres import postgres_answers, prepare_postgres
from app.stack.redis_server import prepare_redis, redis_answers
from app.stack.state import STATE, only_supervisor
from app.stack.supervisor import Screen, StopRequested, Supervisor, stoppable

RESTORING = "restore-unfinished"
FOLDERS = ("logs", "blobs", "work")


def run_stack(settings: Settings, screen: Screen, on_ready: Callable[[Addresses, Access], None]) -> None:
    """Run everything until Ctrl-C, SIGTERM or `remand down`; `on_ready` is called once, when every part answers.

    Raises StackError's kinds: AlreadyRunning, PortTaken, FolderUnusable, PartFailed.
    """
    account = service_account()
    folder = open_home(home_folder(settings.home), account)
    with only_supervisor(folder, account):
        check_space(folder)
        for name in FOLDERS:
            private_folder(folder / name, account)
        servers, database_url, redis_url = embedded_parts(settings, folder, account)
        addresses = choose_addresses(settings, database_url, redis_url)
        supervisor = Supervisor(folder, account, screen, addresses.api, database_url, redis_url)
        try:
            with stoppable(supervisor):
                access = _start(supervisor, servers, settings, addresses)
                on_ready(addresses, access)
                supervisor.run()
        except StopRequested:
            screen.report("everything has stopped")
        finally:
            (folder / STATE).unlink(missing_ok=True)


def open_home(folder: Path, account: Account) -> Path:
    """Make or check the data folder; one that a restore left unfinished is refused."""
    private_folder(folder, account)
    if (folder / RESTORING).exists():
        raise FolderUnusable(
            f"A restore into {folder} was interrupted, its data is not whole. Empty the folder and restore again."
        )
    return folder


def embedded_parts(settings: Settings, folder: Path, account: Account) -> tuple[tuple[Part, ...], str, str]:
    """The embedded servers that are needed (those without an address in the settings), and both addresses."""
    parts: list[Part] = []
    database_url, redis_url = settings.database_url or "", settings.redis_url or ""
    if not database_url or not redis_url:
        binaries = runnable_binaries(account, folder / "bin")
        if not database_url:
            database = prepare_postgres(folder, binaries.postgres, account)
            database_url = database.url
            parts.append(
                Part(
                    "postgres",
                    database.program,
                    lambda: postgres_answers(database.url),
                    SERVERS,
                    "Unix socket",
                )
            )
        if not redis_url:
            broker = prepare_redis(folder, binaries.redis, account)
            redis_url = broker.url
            parts.append(
                Part(
                    "redis",
                    broker.program,
                    lambda: redis_answers(broker.url),
                    SERVERS,
                    redis_url.rpartition("@")[2],
                )
            )
    return tuple(parts), database_url, redis_url


def _start(
    supervisor: Supervisor, servers: tuple[Part, ...], settings: Settings, addresses: Addresses
) -> Access:
    """Servers, then the schema, then the key, then all Python parts together."""
    folder, account = supervisor.folder, supervisor.account
    supervisor.start(servers)
    python, note = python_account(account)
    if note:
        supervisor.report(f"note: {note}")
    environment = part_environment(settings, folder, addresses, load_secrets(folder, account), python)
    supervisor.run_to_end("migration", migration(environment, folder, python))
    access = give_access(folder, addresses.api, addresses.public_url, environment, python)
    supervisor.start(python_parts(environment, folder, python, addresses))
    return access
