"""Attempts at train jobs, each in a process of its own that SIGKILLs itself at a given place. Reads `JOB FENCE PLACE` lines, answers with the status.

The libraries are loaded once and every attempt is a fork, because loading them takes longer than training does here.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

import torch

import models.training.run
import workers.train
from workers.job_context import JobContext, run_attempt
from workers.stopping import StopFlag

models.training.run.reload_check = lambda *_given: 0.0  # type: ignore[assignment]  # another process; not what is tested here


def dying_at(place: str, context: JobContext) -> None:
    """The real train job, ended without a word when it comes to `place`: a stage as progress tells it, the first `epoch` (told
    before its checkpoint is), or `registering`, in the middle of the transaction that registers the adapter."""
    progress, emit, succeed = context.progress, context.emit, context.succeed

    def die_if(reached: bool) -> None:
        if reached:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched_progress(**data: Any) -> None:
        die_if(data.get("stage") == place != "registering")
        progress(**data)

    def watched_emit(kind: str, data: dict[str, Any]) -> None:
        emit(kind, data)
        die_if(kind == place)

    def watched_success(*given: Any) -> None:
        succeed(*given)
        die_if(place == "registering")

    context.progress = watched_progress  # type: ignore[method-assign]
    context.emit = watched_emit  # type: ignore[method-assign]
    context.succeed = watched_success  # type: ignore[method-assign]
    workers.train.run(context)


def main() -> None:
    """One fork an attempt."""
    for line in sys.stdin:
        job_id, fence, place = line.split()
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            status = run_attempt(job_id, int(fence), partial(dying_at, place), StopFlag())
            os._exit(status)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"status {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
