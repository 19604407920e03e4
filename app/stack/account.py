"""Which system user the parts of the stack run as: root drops to `remand`, anyone else stays who they are."""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.stack.errors import StackError

SYSTEM_USER = "remand"
SYSTEM_HOME = Path("/var/lib/remand")


@dataclass(frozen=True, slots=True)
class Account:
    """A system user; `switch` says whether programs must be dropped to it.

    reads_all: dropped programs keep the right to read (not write) files of others: Python and the checkout may lie in
    root's closed home.
    """

    name: str
    uid: int
    gid: int
    switch: bool
    reads_all: bool = False


def current_account() -> Account:
    """The user that calls, without switching."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # containers run with arbitrary numeric users
        name = str(uid)
    return Account(name, uid, os.getgid(), switch=False)


def service_account() -> Account:
    """The user that the stack's programs run as; as root, `remand`, made when it is missing.

    Raises StackError when the user is missing and cannot be made.
    """
    if os.geteuid() != 0:
        return current_account()
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _create_system_user()
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _create_system_user() -> None:
    """Add the system user `remand` (no login, home under /var/lib) with useradd."""
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise StackError(
            f"Started as root, but the user {SYSTEM_USER!r} does not exist and useradd is not installed. "
            f"Postgres refuses to run as root: add a system user {SYSTEM_USER!r}, or start as an ordinary user."
        )
    command = [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_HOME)]
    added = subprocess.run(
        [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER], capture_output=True, text=True, check=False
    )
    already_exists = 9  # another process was faster
    if added.returncode not in {0, already_exists}:
        raise StackError(f"useradd could not add the user {SYSTEM_USER!r}: {added.stderr.strip()}")
