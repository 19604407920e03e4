"""Starts one program so that it dies with the process that started it. Standard library only; run as a file.

    python -I -S leash.py parent=PID signal=N [uid=N gid=N] [nice=N] -- program argument …

It drops to the given user, asks the kernel for a signal at the parent's death (Linux), and becomes the program.
The kernel means the parent's *thread*: start programs from a thread that lives as long as they shall.
"""

import ctypes  # here, not later: the user dropped to may be unable to read Python's own files
import os
import sys

PR_SET_PDEATHSIG = 1
ORPHANED = 75
NOT_STARTED = 127


def become(options: dict[str, int], command: list[str]) -> None:
    """Drop privileges, tie this process to its parent, and exec `command`; returns only by raising OSError."""
    os.umask(0o077)
    if "nice" in options:
        os.nice(options["nice"])
    if "uid" in options:
        os.setgroups([])
        os.setgid(options["gid"])
        os.setuid(options["uid"])
    # After setuid: a change of user clears the death signal.
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, options["signal"], 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != options["parent"]:
        sys.exit(ORPHANED)
    os.execvp(command[0], command)  # noqa: S606  (a list of arguments, no shell)


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
