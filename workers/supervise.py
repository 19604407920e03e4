"""What one ring does: claim the job, start its child, keep the lease, pass on cancel and shutdown, and settle how it ended."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from app.db.session import reading, writing
from app.jobs.kinds import KINDS, Kind
from app.jobs.leases import Claim, claim, release
from app.jobs.queries import get_job
from app.jobs.rules import LeaseLost, State
from app.settings import Settings, get_settings
from workers.child import Child, start_child
from workers.devices import Device, held_device, wanted_device
from workers.endings import Ending, Watched, how_it_ended
from workers.lease_keeper import LeaseKeeper
from workers.places import place_for
from workers.stack_dump import ask_for_stack
from workers.vitals import Vitals
from workers.work_folder import clean_work_folder

SHUTDOWN = threading.Event()
"""Set once this worker shall end: running children are told, new rings are ignored."""
GRACE_SECONDS = {"cancel": 15.0, "shutdown": 15.0, "pause": 120.0}
"""From a word to a child until SIGKILL; nobody waits for a pause, and a step may be long."""
_HURRY = {"pause": 1, "shutdown": 2, "cancel": 2}
"""A child that was asked to pause is asked again when it is to be quick about it."""
SETTLE_SECONDS = 20.0
"""How long a worker that shuts down tries to say how an attempt ended; the expiring lease says it otherwise."""

log = structlog.get_logger("remand.supervise")


def run_job(job_id: str) -> None:
    """One try at a job: nothing happens unless it is queued, its device is free, and this worker wins the claim."""
    settings = get_settings()
    with reading() as session:
        job = get_job(session, job_id)
    if job is None or job.state != State.QUEUED or SHUTDOWN.is_set():
        return
    kind = KINDS[job.kind]
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    wanted = wanted_device(job.params)
    with (
        place_for(kind) as free,
        held_device(settings, owner, wanted) if kind.trainer else nullcontext() as device,
    ):
        if not free or (kind.trainer and device is None):
            return
        with writing() as session:
            claimed = claim(session, job_id, owner, settings.lease_seconds)
        if claimed is not None:
            _see_through(claimed, kind, device, settings)
    if claimed is not None:  # after the device is free: somebody waits for it
        clean_work_folder(settings)


def _see_through(claimed: Claim, kind: Kind, device: Device | None, settings: Settings) -> None:
    """Run the child of a claimed job to its end and settle the attempt."""
    log.info("attempt started", job_id=claimed.job_id, kind=kind.name, fence=claimed.fence)
    try:
        child = start_child(kind, claimed, device, settings)
    except OSError as error:
        not_started = Ending("not-started", f"The child could not be started: {error}", counted=True)
        settle(claimed, not_started, settings)
        ending: Ending | None = not_started
    else:
        ending = _attend(child, claimed, kind, device, settings)
    log.info(
        "attempt ended", job_id=claimed.job_id, fence=claimed.fence, code=ending.code if ending else "ended"
    )


def _attend(
    child: Child, claimed: Claim, kind: Kind, device: Device | None, settings: Settings
) -> Ending | None:
    """Keep the lease while the child runs, then settle how it ended; gives the ending, None where the job is not ours."""
    folder = settings.work_root / claimed.job_id
    vitals = Vitals(child.process.pid, folder, claimed.fence, settings, watched=kind.trainer)
    keeper = LeaseKeeper(claimed, device, settings, vitals.seen)
    with keeper.running():
        watched = watch(child, keeper, vitals, SHUTDOWN, folder)
        ending = how_it_ended(child.status, watched, child.last_words(), vitals, folder)
        if keeper.lost.is_set():
            ending = (
                Ending("device-lost", "Another trainer took the device.", counted=False)
                if keeper.device_lost
                else None
            )
        if ending is not None:
            settle(claimed, ending, settings)
    return ending


def watch(
    child: Child, keeper: LeaseKeeper, vitals: Vitals, shutdown: threading.Event, folder: Path
) -> Watched:
    """Wait for the child's end. It is asked to stop on cancel, pause or shutdown and killed when it takes too long over that,
    when the lease is lost, or (with a dump of its stacks first) when it is stuck. Gives what was done to it."""
    watched, deadline = Watched(), float("inf")
    while not child.ended(0.1):
        vitals.look()
        word = _word(keeper, shutdown)
        if keeper.lost.is_set() or time.monotonic() > deadline:
            child.kill()
            watched = replace(watched, killed=True)
        elif word is not None and _HURRY.get(word, 0) > _HURRY.get(watched.asked or "", 0):
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS[word])
            watched = replace(watched, asked=word)
            child.ask(word)
        elif watched.asked is None and (silence := vitals.silence()) is not None:
            watched = Watched(killed=True, silence=silence, stack=ask_for_stack(child.process.pid, folder))
            log.warning(
                "stuck", stage=silence.stage, seconds=round(silence.seconds), at=" < ".join(watched.stack)
            )
            child.kill()
    child.kill()  # whatever it left in its process group
    return watched


def _word(keeper: LeaseKeeper, shutdown: threading.Event) -> str | None:
    """What the child should be asked with now; a cancellation is said before a shutdown, and both before a pause."""
    if keeper.cancel.is_set():
        return "cancel"
    if shutdown.is_set():
        return "shutdown"
    return "pause" if keeper.pause.is_set() else None


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
                event=ending.event,
                hopeless=ending.hopeless,
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
