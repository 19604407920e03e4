"""What can go wrong when the one-machine stack starts or stops, with the exit code the command line gives."""


class StackError(Exception):
    """A condition the operator can act on; `exit_code` follows sysexits.h where one fits."""

    exit_code = 1


class AlreadyRunning(StackError):
    """Another supervisor holds the data folder."""

    exit_code = 3


class NotRunning(StackError):
    """No supervisor holds the data folder."""

    exit_code = 4


class PortTaken(StackError):
    """Another program listens where a part of the stack should."""

    exit_code = 69


class FolderUnusable(StackError):
    """The data folder cannot be written: read-only, full, or somebody else's."""

    exit_code = 73


class PartFailed(StackError):
    """A part of the stack ended before it was ready."""

    exit_code = 70
