"""A job kind for tests: writes one row a step beside its checkpoint, and holds at a step until a file appears."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path

from sqlalchemy import text

from workers.job_context import JobContext, JobFailed, JobStopped, child_main

TABLE = "CREATE TABLE IF NOT EXISTS probe_steps (job_id text, step int, fence bigint)"


def run(context: JobContext) -> None:
    """Params: steps; hold_at and gate (a step, and the file it waits for); fail, die (a step to fail or to be killed at);
    hang_at (a step to hang at, once), slow_seconds (of every step), eat_bytes (memory to ask for), pace (expected, per second).
    """
    params = context.params
    if "pace" in params:
        context.expect_pace(params["pace"])
    first = (context.checkpoint or {"next": 0})["next"]
    for step in range(first, params["steps"]):
        if step == params.get("fail"):
            raise JobFailed("probe-failed", f"step {step} was told to fail")
        if step == params.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if step == params.get("hang_at"):
            _hang(context)
        if step == params.get("eat_at"):
            _eat(params["eat_bytes"])
        time.sleep(params.get("slow_seconds", 0))
        if step == params.get("hold_at"):
            _hold(context, Path(params["gate"]), step)
        with context.fenced() as session:
            session.execute(
                text("INSERT INTO probe_steps VALUES (:job, :step, :fence)"),
                {"job": context.job_id, "step": step, "fence": context.fence},
            )
            if params.get("checkpoints", True):
                context.save_checkpoint({"next": step + 1}, session)
        if context.stop_reason():
            raise JobStopped
        context.progress(done=step + 1, total=params["steps"])
    with context.fenced() as session:
        context.succeed(session, {"steps": params["steps"]})


def _hang(context: JobContext) -> None:
    """Hold without a sign of life, in the first attempt only."""
    if context.fence == 1:
        context.beat("hanging")
        threading.Event().wait()


def _eat(size: int) -> None:
    """Ask for more address space than there is."""
    resource.setrlimit(resource.RLIMIT_AS, (size // 2, resource.RLIM_INFINITY))
    bytearray(size)


def _hold(context: JobContext, gate: Path, step: int) -> None:
    context.emit("holding", {"step": step, "pid": os.getpid()})
    while not gate.exists():
        if context.stop_reason():
            raise JobStopped
        time.sleep(0.02)


if __name__ == "__main__":
    child_main(run)
