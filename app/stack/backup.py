"""`remand backup`: database, blobs and secrets of one moment in one archive, taken while the stack runs or stands still."""

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from app.blobs import BlobStore
from app.settings import Settings
from app.stack.account import service_account
from app.stack.archive import BLOBS, DUMP, FORMAT, KEPT_FILES, MANIFEST, Manifest, run_postgres_tool
from app.stack.embedded import embedded_postgres
from app.stack.errors import StackError
from app.stack.folders import home_folder, unusable
from app.stack.state import only_supervisor, read_state, running_pid


@dataclass(frozen=True, slots=True)
class Written:
    """What an archive holds: its blobs, and its size in bytes."""

    blobs: int
    size: int


def write_backup(file: Path, settings: Settings) -> Written:
    """Write the archive, complete or not at all. StackError when it exists, or when there is nothing to back up."""
    if file.exists():
        raise StackError(f"{file} exists already and is not overwritten. Give another name.")
    folder = home_folder(settings.home)
    partial = file.with_name(f".{file.name}.part")
    try:
        with _database(settings, folder) as url, _private(partial) as output:
            written = _write(output, url, folder, BlobStore(str(folder / settings.blob_root)))
            output.flush()
            os.fsync(output.fileno())
        partial.rename(file)
    except OSError as error:
        raise unusable(file.parent, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return Written(written, file.stat().st_size)


def _write(output: io.BufferedWriter, url: str, folder: Path, blobs: BlobStore) -> int:
    """The members in order; dump and list of blobs come from one snapshot. Gives the number of blobs."""
    with (
        psycopg.connect(url) as connection,
        tempfile.TemporaryFile() as dump,
        tarfile.open(fileobj=output, mode="w|") as archive,
    ):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        snapshot = _value(connection, "SELECT pg_export_snapshot()")
        revision = _value(connection, "SELECT version_num FROM alembic_version")
        digests = [
            str(row[0]) for row in connection.execute("SELECT digest FROM blobs ORDER BY digest").fetchall()
        ]
        run_postgres_tool(
            "pg_dump", url, ("--format=custom", "--no-owner", f"--snapshot={snapshot}"), target=dump
        )
        manifest = Manifest(FORMAT, datetime.now(UTC).isoformat(timespec="seconds"), revision, len(digests))
        _add(archive, MANIFEST, json.dumps(asdict(manifest)).encode())
        for name in KEPT_FILES:
            if (folder / name).exists():
                _add(archive, name, (folder / name).read_bytes())
        dump.seek(0)
        member = tarfile.TarInfo(DUMP)
        member.size = os.fstat(dump.fileno()).st_size
        archive.addfile(member, dump)
        for digest in digests:
            _add_blob(archive, blobs, digest)
    return len(digests)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """One small member."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))


def _add_blob(archive: tarfile.TarFile, blobs: BlobStore, digest: str) -> None:
    """One blob; a missing one means that no consistent backup can be made."""
    try:
        path = blobs.path(digest)
    except FileNotFoundError as error:
        raise StackError(
            f"The database refers to blob {digest}, but it is not in the store: no whole backup can be made."
        ) from error
    member = tarfile.TarInfo(BLOBS + digest)
    member.size, member.mode = path.stat().st_size, 0o600
    with path.open("rb") as content:
        archive.addfile(member, content)


@contextmanager
def _database(settings: Settings, folder: Path) -> Iterator[str]:
    """The database: the configured one, that of the running stack, or the embedded one started for the moment."""
    state = read_state(folder) if running_pid(folder) is not None else None
    if settings.database_url:
        yield settings.database_url
    elif state is not None:
        yield state.database_url
    elif (folder / "postgres" / "data").exists():
        with only_supervisor(folder, service_account()), embedded_postgres(folder) as url:
            yield url
    else:
        raise StackError(f"There is nothing to back up in {folder}. Set REMAND_HOME to the data folder.")


@contextmanager
def _private(path: Path) -> Iterator[io.BufferedWriter]:
    """A new file that only this user can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _value(connection: psycopg.Connection[tuple[object, ...]], query: str) -> str:
    """The one value of a query's one row."""
    row = connection.execute(query).fetchone()
    if row is None:
        raise StackError("The database has no schema yet: start it once with `remand up`.")
    return str(row[0])
