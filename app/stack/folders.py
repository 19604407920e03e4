"""The folder that holds everything of a one-machine stack: where it is, who owns it, whether it can be written."""

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from app.stack.account import SYSTEM_HOME, Account
from app.stack.errors import FolderUnusable

SOCKET_PATH_LIMIT = 107
POSTGRES_SOCKET = ".s.PGSQL.5432"
LEAST_FREE_BYTES = 512 * 1024 * 1024


def home_folder(given: Path | None) -> Path:
    """The configured data folder (`Settings.home`); else /var/lib/remand for root, `~/.local/share/remand` for anyone else."""
    if given is not None:
        return given.expanduser().absolute()
    if os.geteuid() == 0:
        return SYSTEM_HOME
    share = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(share).expanduser().absolute() / "remand"


def private_folder(path: Path, account: Account) -> Path:
    """Make `path` with mode 0700 for `account`, or check the one that exists; never changes an existing folder.

    Raises FolderUnusable with the path and the reason.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        path.mkdir(mode=0o700)
    except FileExistsError as error:
        if not path.parent.is_dir():
            raise unusable(path, OSError(errno.ENOTDIR, "")) from error
        _check_owner(path, account)
    except OSError as error:
        raise unusable(path, error) from error
    else:
        if account.switch:
            os.chown(path, account.uid, account.gid)
    return path


def private_file(path: Path, content: str, account: Account) -> Path:
    """Write `path` with mode 0600 for `account`, complete or not at all (temporary name, fsync, rename)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            if account.switch:
                os.fchown(file.fileno(), account.uid, account.gid)
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unusable(path.parent, error) from error
    return path


def check_space(path: Path, least: int = LEAST_FREE_BYTES) -> None:
    """Refuse a folder whose disk cannot take a start: raises FolderUnusable with what is free and what is needed."""
    free = free_bytes(path)
    if free < least:
        raise FolderUnusable(
            f"The disk under {path} is almost full: {free // 2**20} MiB free, at least {least // 2**20} MiB needed. "
            "Make room, or choose another folder with REMAND_HOME."
        )


def free_bytes(path: Path) -> int:
    """What the disk under `path` still takes."""
    return shutil.disk_usage(path).free


def socket_folder(folder: Path, account: Account) -> Path:
    """A 0700 folder for Unix sockets: `folder`/run, or a short one where that path would not fit into 107 bytes."""
    wanted = folder / "run"
    if len(os.fsencode(wanted / POSTGRES_SOCKET)) <= SOCKET_PATH_LIMIT:
        return private_folder(wanted, account)
    name = f"remand-{account.uid}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    runtime = Path(f"/run/user/{account.uid}")
    base = runtime if runtime.is_dir() and os.access(runtime, os.W_OK) else Path(tempfile.gettempdir())
    if len(os.fsencode(base / name / POSTGRES_SOCKET)) > SOCKET_PATH_LIMIT:
        base = Path("/tmp")  # noqa: S108  (0700, owner checked, name bound to the folder)
    return private_folder(base / name, account)


def unusable(path: Path, error: OSError) -> FolderUnusable:
    """The operator's message for an operating-system error under `path`."""
    reasons = {
        errno.EROFS: "it is on a read-only file system",
        errno.EACCES: "this user may not write there",
        errno.EPERM: "this user may not write there",
        errno.ENOSPC: "its disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.ENOTDIR: "a part of that path is a file",
    }
    reason = reasons.get(error.errno or 0, error.strerror or str(error))
    return FolderUnusable(f"Cannot use the folder {path}: {reason}. Choose another one with REMAND_HOME.")


def _check_owner(path: Path, account: Account) -> None:
    """An existing folder must be a real folder of `account`, closed to others."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise FolderUnusable(
            f"{path} is not a folder. Move it away, or choose another folder with REMAND_HOME."
        )
    if found.st_uid != account.uid:
        raise FolderUnusable(
            f"The folder {path} belongs to user number {found.st_uid}, not to {account.name!r}, and is left as it is. "
            "Choose another folder with REMAND_HOME, or change its owner yourself."
        )
    if not account.switch and not os.access(path, os.W_OK | os.X_OK):
        raise unusable(path, OSError(errno.EROFS if _read_only(path) else errno.EACCES, ""))


def _read_only(path: Path) -> bool:
    """Whether the file system under `path` is mounted read-only."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
