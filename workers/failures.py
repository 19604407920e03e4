"""Machines that have too little: memory, disk. Such a job fails at once, with what was needed and what would fit, because a retry would end the same."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.training.estimate import Size, disk_bytes, what_fits
from workers import host_memory

SIZE_FILE = "size.json"
"""In the work folder of a train job: `models.training.estimate.Size`, written before training begins."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FULL_WORDS = ("no space left on device", "os error 28", "disk quota exceeded", "os error 122")
_SHORT_WRITES = ("requested and", "pytorchstreamwriter failed writing", "unexpected pos")
"""What numpy and torch say of a short write without naming its cause: then the disk itself is asked."""
_MEMORY_WORDS = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")
_NEARLY_FULL_BYTES = 16 << 20


class JobFailed(Exception):
    """Ends the job as failed at once, without retry: its input or its machine is at fault. `code` is a stable slug."""

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra


def machine_failure(error: BaseException, work_dir: Path, *, taken: int, limit: int) -> JobFailed | None:
    """The failure that an exception stands for when the machine had too little of something; None for any other exception.

    Args:
        error: what was raised; its causes are looked at, too.
        work_dir: of the job.
        taken, limit: bytes of memory that the process took at most, and may take.
    """
    for cause in _causes(error):
        if _is_memory(cause):
            return memory_failure(work_dir, taken=taken, limit=limit, gpu="CUDA" in str(cause))
        if _is_full(cause, work_dir):
            return disk_failure(cause, work_dir)
    return None


def memory_failure(
    work_dir: Path, *, taken: int, limit: int, killed: bool = False, gpu: bool = False
) -> JobFailed:
    """`out-of-memory`: how much was taken of how much, and with which settings the job would fit."""
    size = job_size(work_dir)
    fitting = what_fits(size, limit) if size is not None and not gpu else None
    how = "The kernel ended the process" if killed else "The process ended"
    place = "the GPU's memory" if gpu else "memory"
    words = f"{how} for want of {place}. It had taken {gib(taken)} of {gib(limit)} on this machine."
    return JobFailed(
        "out-of-memory",
        f"{words} It is not tried again, because the same settings would end in the same way. {_advice(size, fitting, gpu)}",
        peak_memory_bytes=taken,
        limit_bytes=limit,
        would_fit=fitting,
    )


def memory_failure_of(error: BaseException, work_dir: Path) -> JobFailed:
    """`out-of-memory` of this process, for an error that is known to be one."""
    gpu = "GPU" in str(error) or "CUDA" in str(error)
    taken, limit = host_memory.own_peak_bytes(), host_memory.own_limit_bytes()
    return memory_failure(work_dir, taken=taken, limit=limit, gpu=gpu)


def disk_failure(error: BaseException, work_dir: Path) -> JobFailed:
    """`disk-full`: which folder, how much is free, and how much the job needs."""
    folder = work_dir
    name = getattr(error, "filename", None)
    if isinstance(name, str | Path) and Path(name).is_absolute():
        folder = Path(name).parent
    while not folder.exists():
        folder = folder.parent
    size = job_size(work_dir)
    needed = disk_bytes(size) if size is not None else None
    free = shutil.disk_usage(folder).free
    about = (
        f"The job needs about {gib(needed)} there, of which checkpoints have a part already" if needed else ""
    )
    return JobFailed(
        "disk-full",
        f"There is no room left on the disk of {folder} ({gib(free)} free). {about + '. ' if about else ''}Nothing was registered. "
        "Make room, or set REMAND_WORK_ROOT or REMAND_BLOB_ROOT to a larger disk, and start the job again.",
        folder=str(folder),
        free_bytes=free,
        needed_bytes=needed,
    )


def job_size(work_dir: Path) -> Size | None:
    """How big the job is, where it has said so."""
    with suppress(OSError, ValueError, TypeError):
        return Size.from_document(json.loads((work_dir / SIZE_FILE).read_text(encoding="utf-8")))
    return None


def gib(size: float) -> str:
    """`1.5 GiB`; MiB below one."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _advice(size: Size | None, fitting: dict[str, int] | None, gpu: bool) -> str:
    if gpu:
        return "Ask for fewer trained_layers or a smaller max_tokens, or take a smaller base model."
    if size is None:
        return "Free memory on the machine, or give the job less to do."
    if fitting is None:
        return "Nothing smaller would fit with this base model: take a smaller one, or a machine with more memory."
    if not fitting:
        return (
            "By its size the job should fit: something else takes the memory of this machine. "
            "Free it, then start the job again."
        )
    asked = ", ".join(f"{name} = {value}" for name, value in fitting.items())
    return f"By the estimate this would fit: {asked}."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _MEMORY_WORDS)


def _is_full(error: BaseException, work_dir: Path) -> bool:
    if isinstance(error, OSError) and error.errno in FULL:
        return True
    words = str(error).lower()
    if any(word in words for word in _FULL_WORDS):
        return True
    short = isinstance(error, OSError | RuntimeError) and any(word in words for word in _SHORT_WRITES)
    return short and shutil.disk_usage(work_dir).free < _NEARLY_FULL_BYTES
