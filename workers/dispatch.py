"""The dispatcher: rings Celery for queued jobs, ends attempts whose lease expired, keeps house. `python -m workers.dispatch`.

Several may run; the one that holds the lease row `dispatcher` works. Losing Postgres or Redis stops it only until they are back.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time

import psycopg
import structlog
from kombu.exceptions import OperationalError as BrokerLost
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError

from app.db.session import writing
from app.jobs.housekeeping import remove_expired
from app.jobs.leases import give_lease_back, give_rings_back, release_expired, take_lease, take_rings
from app.jobs.queries import JOBS_CHANNEL
from app.settings import Settings, get_settings
from app.training.search_queries import remove_orphaned_studies
from workers.celery_app import ring
from workers.logs import configure_logging
from workers.work_folder import clean_work_folder

LEASE = "dispatcher"
LEASE_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 60.0
LONGEST_RING_PAUSE_SECONDS = 15.0

log = structlog.get_logger("remand.dispatch")


class Dispatcher:
    """One dispatcher process; `step` is one look, `run` looks until told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._settings = settings
        self._stop = threading.Event()
        self._listener: psycopg.Connection | None = None
        self._cleaned_at = float("-inf")
        self._expire_from = float("-inf")
        self._leads = False

    def stop(self) -> None:
        """End `run` after the present look."""
        self._stop.set()

    def run(self) -> None:
        """Look at the jobs whenever Postgres says so, at least every poll interval, until stopped."""
        while not self._stop.is_set():
            try:
                self._wait()
                self.step()
            except (psycopg.Error, DBAPIError) as error:
                log.warning("no database", error=type(error).__name__)
                self._forget_listener()
                self._stop.wait(0.5)
        self._resign()

    def step(self) -> None:
        """One look. Does nothing while another dispatcher leads."""
        with writing() as session:
            leads = take_lease(session, LEASE, self.owner, self._lease_seconds) is not None
        if leads != self._leads:
            log.info("leading" if leads else "following")
            self._leads = leads
        if leads:
            self._end_expired()
            self._ring_queued()
            self._keep_house()

    @property
    def _lease_seconds(self) -> float:
        """Long enough for two missed looks, short where job leases are short."""
        return max(3 * self._settings.poll_seconds, min(LEASE_SECONDS, self._settings.lease_seconds))

    def connect(self) -> None:
        """Listen for new jobs. Workers could not renew while Postgres was away either, so attempts do not expire at once."""
        url = str(self._settings.database_url)
        self._listener = psycopg.connect(
            url, autocommit=True, connect_timeout=5, application_name="remand-dispatch"
        )
        self._listener.execute(f"LISTEN {JOBS_CHANNEL}")
        self._expire_from = time.monotonic() + 2 * self._settings.renew_seconds

    def _wait(self) -> None:
        """Until a notification comes, the poll interval passes, or (at once) when there is no listener yet."""
        if self._listener is None:
            self.connect()
            return
        for _ in self._listener.notifies(timeout=self._settings.poll_seconds, stop_after=1):
            pass

    def _end_expired(self) -> None:
        if time.monotonic() < self._expire_from:
            return
        with writing() as session:
            ended = release_expired(session, self._settings.max_attempts)
        for job_id, state in ended:
            log.info("lease expired", job_id=job_id, state=state)

    def _ring_queued(self) -> None:
        """Note, then ring: a ring too many does nothing, one too few costs a pause."""
        pause = min(LONGEST_RING_PAUSE_SECONDS, max(1.0, self._settings.lease_seconds / 2))
        with writing() as session:
            waiting = take_rings(session, pause)
        rung = 0
        try:
            for kind, job_id in waiting:
                ring(kind, job_id)
                rung += 1
        except (BrokerLost, RedisError, OSError) as error:
            log.warning("no broker", error=type(error).__name__, waiting=len(waiting) - rung)
            with writing() as session:
                give_rings_back(session, [job_id for _kind, job_id in waiting[rung:]])

    def _keep_house(self) -> None:
        if time.monotonic() - self._cleaned_at >= HOUSEKEEPING_SECONDS:
            with writing() as session:
                removed = remove_expired(session) | {"studies": remove_orphaned_studies(session)}
            clean_work_folder(self._settings)
            self._cleaned_at = time.monotonic()
            log.debug("housekeeping", **removed)

    def _forget_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _resign(self) -> None:
        """Let another dispatcher lead at once."""
        self._forget_listener()
        try:
            with writing() as session:
                give_lease_back(session, LEASE, self.owner)
        except DBAPIError as error:
            log.warning("lease not given back: it will expire", error=type(error).__name__)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging("dispatcher")
    dispatcher = Dispatcher(get_settings())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: dispatcher.stop())
    dispatcher.run()


if __name__ == "__main__":
    main()
