"""One log file per part in the data folder, kept small by rotation."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.stack.account import Account
from app.stack.folders import unusable

LARGEST_BYTES = 16 * 1024 * 1024
KEPT = 3


def open_log(path: Path, account: Account) -> IO[bytes]:
    """The file for appending, made with mode 0600 for `account`."""
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        if account.switch:
            os.fchown(descriptor, account.uid, account.gid)
    except OSError as error:
        raise unusable(path.parent, error) from error
    return os.fdopen(descriptor, "ab", buffering=0)


def rotate(path: Path, largest: int = LARGEST_BYTES, kept: int = KEPT) -> bool:
    """Move a grown log aside as `.1` (… `.kept`); true if it did.

    The program holds the file open for appending, so the content is copied and the file cut, not renamed; a line written
    between the two is lost. A disk too full for the copy loses the copy: the cut frees the room the stack needs.
    """
    try:
        if path.stat().st_size <= largest:
            return False
    except FileNotFoundError:
        return False
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1))]
    for older, newer in zip(reversed(names[1:]), reversed(names[1:-1]), strict=False):
        with suppress(FileNotFoundError):
            newer.replace(older)
    with suppress(OSError):
        shutil.copy2(path, names[1])
    os.truncate(path, 0)
    return True
