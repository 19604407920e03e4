"""How an attempt ended that left its job running: in words, whether it counts, and whether another try makes sense."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.failures import memory_failure
from workers.job_context import EXIT_DONE, EXIT_LEASE_LOST, EXIT_STOPPED
from workers.vitals import Silence, Vitals


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended. counted: whether it is a failed attempt."""

    code: str
    reason: str
    counted: bool
    last_words: str = ""
    """What the child wrote last: class and place of an error, for whoever repairs it."""
    event: tuple[str, dict[str, Any]] | None = None
    """Kind and data of something to tell beside."""
    hopeless: dict[str, Any] | None = None
    """Set where another try with the same settings would end in the same way: further members of the job's error."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What the supervisor did to a child while it watched."""

    asked: str | None = None
    """The word that it was asked to stop with."""
    killed: bool = False
    """Whether the supervisor itself sent SIGKILL."""
    silence: Silence | None = None
    """Why it was ended as stuck."""
    stack: tuple[str, ...] = ()
    """Where it hung."""


def how_it_ended(
    status: int, watched: Watched, last_words: str, vitals: Vitals, work_dir: Path
) -> Ending | None:
    """What exit status and signs say; None where another attempt owns the job. A result that was stored wins over all of it."""
    if status == EXIT_LEASE_LOST:
        return None
    if watched.silence is not None:
        return _stuck(watched.silence, watched.stack)
    if watched.asked is not None or status == EXIT_STOPPED:
        return Ending(watched.asked or "stopped", "The worker was asked to stop.", counted=False)
    if status == EXIT_DONE:
        return Ending("no-result", "The child ended without a result.", counted=True)
    if status == -signal.SIGKILL and not watched.killed and vitals.starved():
        failure = memory_failure(work_dir, taken=vitals.peak, limit=vitals.limit_bytes, killed=True)
        return Ending(failure.code, failure.detail, counted=True, hopeless=failure.extra)
    words = (
        f"It was ended by {signal.Signals(-status).name}."
        if status < 0
        else f"It ended with status {status}."
    )
    return Ending("child-died", words, counted=True, last_words=last_words)


def _stuck(silence: Silence, stack: tuple[str, ...]) -> Ending:
    stage = f"at the stage “{silence.stage}”" if silence.stage else "before its first step"
    reason = (
        f"It gave no sign of life for {silence.seconds:.0f} s {stage} ({silence.allowed_seconds:.0f} s are allowed for) "
        f"and was ended as stuck."
    )
    data = {
        "stage": silence.stage,
        "seconds": round(silence.seconds, 1),
        "allowed_seconds": round(silence.allowed_seconds, 1),
        "beats": silence.beats,
        "stack": list(stack),
    }
    return Ending("stuck", reason, counted=True, last_words=" < ".join(stack[1:7]), event=("stuck", data))
