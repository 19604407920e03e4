"""The form of a backup: one tar file with a manifest, the secrets, a Postgres dump and the blobs it refers to."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict

from app.stack.binaries import installed_binaries
from app.stack.errors import StackError

FORMAT = 1
MANIFEST, DUMP, BLOBS = "manifest.json", "database.dump", "blobs/"
KEPT_FILES = ("secrets.json", "connection.json")
_BLOB_NAME = re.compile(r"blobs/[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first member of an archive. `revision` is the schema's; `made_at` is UTC, ISO 8601."""

    format: int
    made_at: str
    revision: str
    blobs: int


def blob_digest(member: str) -> str | None:
    """The digest in a member's name, None when it is not a blob's."""
    return member.removeprefix(BLOBS) if _BLOB_NAME.fullmatch(member) else None


def run_postgres_tool(
    name: str,
    url: str,
    arguments: tuple[str, ...],
    *,
    source: IO[bytes] | None = None,
    target: IO[bytes] | None = None,
) -> None:
    """Run pg_dump or pg_restore against `url`; the password travels in the environment, not in the process list.

    StackError with the tool's own words when it fails.
    """
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    given = conninfo_to_dict(url)
    environment = {variable: str(given[key]) for key, variable in names.items() if given.get(key)}
    tool: Path = installed_binaries().postgres / name
    done = subprocess.run(
        [str(tool), *arguments],
        stdin=source or subprocess.DEVNULL,
        stdout=target or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"{name} failed: {done.stderr.decode(errors='replace').strip()[-800:]}")
