"""Starts one program so that it dies with the process that started it. Standard library only; run as a file.

    python -I -S leash.py parent=PID signal=N [uid=N gid=N [readall=1]] [nice=N] -- program argument …

It drops to the given user, asks the kernel for a signal at the parent's death (Linux), and becomes the program.
The kernel means the parent's *thread*: start programs from a thread that lives as long as they shall.
"""

import ctypes  # here, not later: the user dropped to may be unable to read Python's own files
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
ORPHANED = 75
NOT_STARTED = 127


def become(options: dict[str, int], command: list[str]) -> None:
    """Drop privileges, tie this process to its parent, and exec `command`; returns only by raising OSError."""
    os.get_exec_path()  # loads what execvp needs, for the same reason as above
    os.umask(0o077)
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    if "nice" in options:
        os.nice(options["nice"])
    if "uid" in options:
        drop_to(options["uid"], options["gid"], keep_reading=bool(options.get("readall")))
    # After setuid: a change of user clears the death signal.
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, options["signal"])
    if os.getppid() != options["parent"]:
        sys.exit(ORPHANED)
    os.execvp(command[0], command)  # noqa: S606  (a list of arguments, no shell)


def drop_to(uid: int, gid: int, *, keep_reading: bool) -> None:
    """Become that user for good; `keep_reading` leaves it the one right to read files it does not own (Linux)."""
    os.setgroups([])
    os.setgid(gid)
    if keep_reading:
        _prctl(PR_SET_KEEPCAPS, 1)
    os.setuid(uid)
    if keep_reading:
        only = 1 << CAP_DAC_READ_SEARCH
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        effective_permitted_inheritable = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
        if _libc().capset(header, effective_permitted_inheritable) != 0:
            raise OSError(ctypes.get_errno(), "the right to read other users' files is not to be had here")
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)


def _libc() -> ctypes.CDLL:
    """The C library, with errno kept."""
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, first: int, second: int = 0) -> None:
    """prctl(2), OSError when it fails."""
    if _libc().prctl(option, first, second, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")


def main(arguments: list[str]) -> None:
    """Read `key=number` words up to `--`, then the command."""
    split = arguments.index("--")
    options = {key: int(value) for key, _, value in (word.partition("=") for word in arguments[:split])}
    command = arguments[split + 1 :]
    try:
        become(options, command)
    except OSError as error:
        sys.stderr.write(f"remand: cannot start {command[0]}: {error.strerror or error}\n")
        sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
