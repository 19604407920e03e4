"""A thread that renews the lease of one attempt and hears of its cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError

from app.db.session import reading, writing
from app.jobs.leases import Claim, renew
from app.jobs.queries import get_job
from app.settings import Settings
from workers.devices import Device, keep

TICK_SECONDS = 0.5
"""How often it looks for a cancel request; renewals are rarer."""
PEACE_SECONDS = 10.0
"""How long a child may live on after its job has ended."""

log = structlog.get_logger("remand.supervise")


class LeaseKeeper:
    """Flags of one attempt: `cancel` and `pause` (somebody wants it to end, or to wait) and `lost` (another worker owns the job, or it has ended).

    `seen` is asked at every renewal for what the supervisor has seen of the child; it becomes part of the job's progress.

    A database that does not answer is waited for: as long as nobody took the lease, it may be renewed however late.
    """

    def __init__(
        self,
        claimed: Claim,
        device: Device | None,
        settings: Settings,
        seen: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.cancel = threading.Event()
        self.pause = threading.Event()
        self.lost = threading.Event()
        self.device_lost = False
        self._seen = seen
        self._claimed = claimed
        self._device = device
        self._settings = settings
        self._over = threading.Event()
        self._finished_at: float | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep the lease until the block ends."""
        thread = threading.Thread(target=self._loop, name=f"lease-{self._claimed.job_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(self._settings.renew_seconds)

    def _loop(self) -> None:
        renewed = time.monotonic()
        while not self._over.wait(min(TICK_SECONDS, self._settings.renew_seconds)):
            try:
                if time.monotonic() - renewed >= self._settings.renew_seconds:
                    self._renew()
                    renewed = time.monotonic()
                else:
                    self._look()
            except DBAPIError as error:
                log.warning(
                    "lease not renewed: no database", job_id=self._claimed.job_id, error=type(error).__name__
                )

    def _renew(self) -> None:
        with writing() as session:
            hold = renew(
                session,
                self._claimed.job_id,
                self._claimed.fence,
                self._settings.lease_seconds,
                self._seen(),
            )
        if hold is None:
            self._ended_or_lost()
        else:
            self._hear(cancel=hold.cancel_requested, pause=hold.pause_requested)
        if self._device is not None and not keep(self._device, self._settings.lease_seconds):
            self.device_lost = True
            self.lost.set()

    def _look(self) -> None:
        with reading() as session:
            job = get_job(session, self._claimed.job_id)
        if job is not None and job.fence == self._claimed.fence:
            self._hear(cancel=job.cancel_requested, pause=job.pause_requested)

    def _hear(self, *, cancel: bool, pause: bool) -> None:
        """A pause may be taken back as long as the child was not asked; a cancellation may not."""
        if cancel:
            self.cancel.set()
        self.pause.set() if pause else self.pause.clear()

    def _ended_or_lost(self) -> None:
        """A child that just stored its result may end in peace; any other one writes in vain."""
        with reading() as session:
            job = get_job(session, self._claimed.job_id)
        if job is None or job.fence != self._claimed.fence or job.finished_at is None:
            self.lost.set()
        else:
            self._finished_at = self._finished_at or time.monotonic()
            if time.monotonic() - self._finished_at > PEACE_SECONDS:
                self.lost.set()
