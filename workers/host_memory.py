"""Memory of a host: what a child takes, what it may take, and whether the kernel killed for want of it."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
VMSTAT = Path("/proc/vmstat")
NEAR_LIMIT = 0.85
"""Share of the limit from which a child that was killed counts as killed for memory."""
NEARLY_NOTHING = 0.03
"""Share of the host's memory that is hardly any."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look. taken: resident bytes of a process and its children; free: share of the host's memory that can still be had."""

    taken: int
    free: float


def sample(pid: int) -> Sample | None:
    """What a process takes now; None once it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        taken = process.memory_info().rss
    except psutil.Error:
        return None
    for child in family[1:]:
        with suppress(psutil.Error):
            taken += child.memory_info().rss
    memory = psutil.virtual_memory()
    return Sample(taken, memory.available / memory.total)


def cgroup_folder(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> Path | None:
    """The folder of this process's control group with the memory files; None where there is none (the host's root group)."""
    own = []
    with suppress(OSError, ValueError):
        for line in membership.read_text(encoding="ascii", errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in {"", "memory"}:
                base = root if not controllers else root / "memory"
                own.append(base / path.strip("/"))
    for folder in (*own, root, root / "memory"):
        if (folder / "memory.events").is_file() or (folder / "memory.oom_control").is_file():
            return folder
    return None


def oom_kills(folder: Path | None, vmstat: Path = VMSTAT) -> int:
    """Processes that the kernel has killed for memory so far: in this control group, or on the host where it has none."""
    files = (folder / "memory.events", folder / "memory.oom_control") if folder is not None else (vmstat,)
    for path in files:
        with suppress(OSError):
            found = re.search(r"^oom_kill (\d+)$", path.read_text(encoding="ascii"), re.MULTILINE)
            if found is not None:
                return int(found[1])
    return 0


def limit(folder: Path | None) -> int:
    """Bytes that this process and its children may take: the control group's limit, at most the host's memory."""
    total = int(psutil.virtual_memory().total)
    if folder is None:
        return total
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return min(total, int((folder / name).read_text(encoding="ascii")))
    return total


def starved(*, kills: int, last: Sample | None, limit_bytes: int) -> bool:
    """Whether a child that SIGKILL ended was killed for memory: the kernel counted a kill, or it was near the limit when last seen."""
    if kills > 0:
        return True
    return last is not None and (last.taken >= NEAR_LIMIT * limit_bytes or last.free <= NEARLY_NOTHING)


def own_peak_bytes() -> int:
    """Most memory that this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def own_limit_bytes() -> int:
    """What this process may take: its control group's limit and its own."""
    found = limit(cgroup_folder())
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    return found if own == resource.RLIM_INFINITY else min(found, own)
