"""Real Postgres and Redis for tests: one throwaway folder, removed at the end."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.stack.embedded import embedded_postgres, embedded_redis


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses of running servers: a libpq URI and a redis:// URL."""

    database_url: str
    redis_url: str


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder name directly under the temporary folder: as root, `remand` could not enter pytest's own 0700 folders."""
    outer = Path(tempfile.mkdtemp(prefix="remand-test-"))
    outer.chmod(0o755)
    try:
        yield outer / "data"
    finally:
        shutil.rmtree(outer, ignore_errors=True)


@contextmanager
def running_servers() -> Iterator[Servers]:
    """Both servers, for a session-scoped fixture: `with running_servers() as servers: yield servers`."""
    with (
        server_folder() as folder,
        embedded_postgres(folder, throwaway=True) as database,
        embedded_redis(folder) as broker,
    ):
        yield Servers(database, broker)
