"""`remand restore`: an archive back into an empty data folder; whole, or the folder is as it was."""

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from app.blobs import BlobStore
from app.settings import Settings
from app.stack.account import Account, service_account
from app.stack.archive import DUMP, FORMAT, KEPT_FILES, MANIFEST, Manifest, blob_digest, run_postgres_tool
from app.stack.embedded import embedded_postgres
from app.stack.errors import FolderUnusable, StackError
from app.stack.folders import home_folder, private_file, private_folder, unusable
from app.stack.state import LOCK, only_supervisor
from app.stack.up import RESTORING

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: the number of blobs, and when the archive was made."""

    blobs: int
    made_at: str


def restore_backup(file: Path, settings: Settings) -> Restored:
    """Bring it back. FolderUnusable when the folder is not empty, StackError when the archive is damaged or foreign.

    A folder that was made for it is gone again after a failure.
    """
    account = service_account()
    home = home_folder(settings.home)
    made = not home.exists()
    folder = private_folder(home, account)
    _require_empty(folder)
    with only_supervisor(folder, account), _whole_or_nothing(folder, account, made=made):
        try:
            with tarfile.open(file, "r|") as archive:
                manifest = _read_manifest(archive)
                blobs = _take_members(archive, folder, BlobStore(str(folder / settings.blob_root)), account)
        except (tarfile.TarError, EOFError) as error:
            raise StackError(f"{file} is not a whole archive of `remand backup`: {error}.") from error
        if blobs != manifest.blobs:
            raise StackError(f"{file} is damaged: {blobs} of {manifest.blobs} blobs are in it.")
        _own(folder, account)
        _load_database(folder, settings)
    return Restored(blobs, manifest.made_at)


def _take_members(archive: tarfile.TarFile, folder: Path, blobs: BlobStore, account: Account) -> int:
    """Unpack by name: known names only, blobs checked against their digest. Gives the number of blobs."""
    count = 0
    while (member := archive.next()) is not None:
        content = archive.extractfile(member)
        if content is None:
            raise StackError(f"The archive holds {member.name!r}, which is not a file.")
        if digest := blob_digest(member.name):
            if blobs.put(iter(lambda source=content: source.read(_CHUNK), b"")).digest != digest:  # type: ignore[misc]
                raise StackError(f"Blob {digest} of the archive is damaged.")
            count += 1
        elif member.name in KEPT_FILES:
            private_file(folder / member.name, content.read().decode("utf-8"), account)
        elif member.name == DUMP:
            with (folder / DUMP).open("wb") as target:
                shutil.copyfileobj(content, target, _CHUNK)
        else:
            raise StackError(f"The archive holds {member.name!r}, which no backup of this release has.")
    return count


def _read_manifest(archive: tarfile.TarFile) -> Manifest:
    """The first member; StackError when it is not ours or of a newer form."""
    member = archive.next()
    content = archive.extractfile(member) if member is not None and member.name == MANIFEST else None
    if content is None:
        raise StackError("This is not an archive of `remand backup`: its first member is not the manifest.")
    try:
        manifest = Manifest(**json.loads(content.read()))
    except (ValueError, TypeError) as error:
        raise StackError(
            "The archive's manifest cannot be read; a newer release may have made it."
        ) from error
    if manifest.format != FORMAT:
        raise StackError(f"The archive has form {manifest.format}; this release reads form {FORMAT}.")
    return manifest


def _load_database(folder: Path, settings: Settings) -> None:
    """Fill the embedded database, or one's own if it is empty."""
    dump = folder / DUMP
    try:
        if settings.database_url:
            _require_no_tables(settings.database_url)
            _pg_restore(settings.database_url, dump)
        else:
            with embedded_postgres(folder) as url:
                _pg_restore(url, dump)
    except FileNotFoundError as error:
        raise StackError("The archive is damaged: it holds no database.") from error
    dump.unlink(missing_ok=True)


def _pg_restore(url: str, dump: Path) -> None:
    """All of the dump in one transaction."""
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with dump.open("rb") as source:
        run_postgres_tool(
            "pg_restore",
            url,
            ("--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={database}"),
            source=source,
        )


def _require_no_tables(url: str) -> None:
    """One's own database must be empty, too."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema IN ('public', 'optuna')"
        ).fetchone()
    if row and row[0]:
        raise StackError(
            f"The database of REMAND_DATABASE_URL is not empty ({row[0]} tables). Restore into an empty one."
        )


def _require_empty(folder: Path) -> None:
    """Nothing of anybody's is overwritten."""
    found = sorted(path.name for path in folder.iterdir() if path.name not in {"lost+found", LOCK})
    if found:
        raise FolderUnusable(
            f"The data folder {folder} is not empty ({', '.join(found[:4])}{' …' if len(found) > 4 else ''}). "
            "Restore into an empty one: set REMAND_HOME, or move this one away."
        )


@contextmanager
def _whole_or_nothing(folder: Path, account: Account, *, made: bool) -> Iterator[None]:
    """A marker stands while the restore is unfinished; a failure empties the folder again, and removes it if it was made for this."""
    private_file(folder / RESTORING, "", account)
    try:
        yield
    except BaseException as error:
        for path in folder.iterdir():
            if path.name not in {"lost+found", LOCK}:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if made:
            with suppress(OSError):
                (folder / LOCK).unlink()
                folder.rmdir()
        if isinstance(error, OSError):
            raise unusable(folder, error) from error
        raise
    (folder / RESTORING).unlink()


def _own(folder: Path, account: Account) -> None:
    """As root: give what was just made to the service user."""
    if account.switch:
        for path in folder.rglob("*"):
            os.lchown(path, account.uid, account.gid)
