"""What one ring does: claim the job, start its child, keep the lease, pass on cancel and shutdown, and settle how it ended."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs.kinds import KINDS, Kind
from app.jobs.leases import Claim, claim, release
from app.jobs.queries import get_job
from app.jobs.rules import LeaseLost, State, is_final
from app.settings import Settings, get_settings
from workers.child import Child, start_child
from workers.devices import Device, held_device
from workers.job_context import EXIT_DONE, EXIT_LEASE_LOST, EXIT_STOPPED
from workers.lease_keeper import LeaseKeeper

SHUTDOWN = threading.Event()
"""Set once this worker shall end: running children are told, new rings are ignored."""
GRACE_SECONDS = 15.0
"""From the first word to a child until SIGKILL."""
SETTLE_SECONDS = 20.0
"""How long a worker that shuts down tries to say how an attempt ended; the expiring lease says it otherwise."""

log = structlog.get_logger("remand.supervise")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended that left its job running. counted: whether it is a failed attempt."""

    code: str
    reason: str
    counted: bool
    last_words: str = ""
    """What the child wrote last: class and place of an error, for whoever repairs it."""


def run_job(job_id: str) -> None:
    """One try at a job: nothing happens unless it is queued, its device is free, and this worker wins the claim."""
    settings = get_settings()
    with reading() as session:
        job = get_job(session, job_id)
    if job is None or job.state != State.QUEUED or SHUTDOWN.is_set():
        return
    kind = KINDS[job.kind]
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    with held_device(settings, owner, kind.name) if kind.trainer else nullcontext() as device:
        if kind.trainer and device is None:
            return
        with writing() as session:
            claimed = claim(session, job_id, owner, settings.lease_seconds)
        if claimed is not None:
            _see_through(claimed, kind, device, settings)


def _see_through(claimed: Claim, kind: Kind, device: Device | None, settings: Settings) -> None:
    """Run the child of a claimed job to its end and settle the attempt."""
    log.info("attempt started", job_id=claimed.job_id, kind=kind.name, fence=claimed.fence)
    keeper = LeaseKeeper(claimed, device, settings)
    with keeper.running():
        try:
            child = start_child(kind, claimed, device, settings)
        except OSError as error:
            ending: Ending | None = Ending(
                "not-started", f"The child could not be started: {error}", counted=True
            )
        else:
            asked = watch(child, keeper, SHUTDOWN)
            ending = how_it_ended(child, asked=asked)
        if keeper.lost.is_set():
            ending = (
                Ending("device-lost", "Another trainer took the device.", counted=False)
                if keeper.device_lost
                else None
            )
        if ending is not None:
            settle(claimed, ending, settings)
    log.info(
        "attempt ended", job_id=claimed.job_id, fence=claimed.fence, code=ending.code if ending else "ended"
    )
    sweep(settings.work_root)


def watch(
    child: Child, keeper: LeaseKeeper, shutdown: threading.Event, grace: float = GRACE_SECONDS
) -> str | None:
    """Wait for the child's end: ask it to stop on cancel or shutdown, kill it after `grace` or when the lease is lost.

    Gives the word the child was asked with, or None.
    """
    asked, deadline = None, float("inf")
    while not child.ended(0.1):
        if keeper.lost.is_set() or time.monotonic() > deadline:
            child.kill()
        elif asked is None and (keeper.cancel.is_set() or shutdown.is_set()):
            asked = "cancel" if keeper.cancel.is_set() else "shutdown"
            deadline = time.monotonic() + grace
            child.ask(asked)
    child.kill()  # whatever it left in its process group
    return asked


def how_it_ended(child: Child, *, asked: str | None) -> Ending | None:
    """What the exit status says; None where another attempt owns the job. A result that was stored wins over all of it."""
    status = child.status
    if status == EXIT_LEASE_LOST:
        return None
    if asked is not None or status == EXIT_STOPPED:
        return Ending(asked or "stopped", "The worker was asked to stop.", counted=False)
    if status == EXIT_DONE:
        return Ending("no-result", "The child ended without a result.", counted=True)
    words = (
        f"It was ended by {signal.Signals(-status).name}."
        if status < 0
        else f"It ended with status {status}."
    )
    return Ending("child-died", words, counted=True, last_words=child.last_words())


def settle(claimed: Claim, ending: Ending, settings: Settings) -> None:
    """Release the job unless the child stored its end; tries until the database answers, shortly when shutting down."""

    def once() -> None:
        with suppress(LeaseLost), writing() as session:
            state = release(
                session,
                claimed.job_id,
                claimed.fence,
                code=ending.code,
                reason=ending.reason,
                counted=ending.counted,
                max_attempts=settings.max_attempts,
                last_words=ending.last_words,
            )
            log.info("attempt released", job_id=claimed.job_id, state=state, code=ending.code)

    _until_done(once)


def _until_done(once: Callable[[], None]) -> None:
    began = time.monotonic()
    while True:
        try:
            once()
        except DBAPIError as error:
            if SHUTDOWN.is_set() and time.monotonic() - began > SETTLE_SECONDS:
                log.warning("attempt not settled: the lease will expire", error=type(error).__name__)
                return
            time.sleep(0.5)
        else:
            return


def sweep(work_root: Path) -> None:
    """Remove the work folders of jobs that are over or gone: checkpoints have no use after the end."""
    folders = {path.name: path for path in work_root.glob("job_*")}
    if not folders:
        return
    with reading() as session:
        found = session.execute(select(Job.id, Job.state).where(Job.id.in_(folders)))
        states = {row.id: row.state for row in found}
    for name, folder in folders.items():
        if name not in states or is_final(states[name]):
            shutil.rmtree(folder, ignore_errors=True)
