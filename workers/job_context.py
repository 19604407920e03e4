"""What a job's child process sees: its parameters, its events and checkpoints, fenced transactions, and when to stop."""

from __future__ import annotations

import argparse
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError

from app.blobs import BlobStore
from app.db.session import WriteSession, reading, writing
from app.jobs.queries import append_event, finish, get_job, lock_running
from app.jobs.queries import save_checkpoint as store_checkpoint
from app.jobs.rules import LeaseLost, State
from app.settings import get_settings
from workers import host_memory
from workers.failures import JobFailed, machine_failure
from workers.heartbeat import Heartbeat
from workers.logs import configure_logging
from workers.pace import Pace
from workers.stack_dump import dump_on_signal
from workers.stopping import StopFlag, StopReason, watch_supervisor

__all__ = ["JobContext", "JobFailed", "JobStopped", "child_main", "run_attempt"]
T = TypeVar("T")

PROGRESS_SECONDS = 0.5
PROGRESS_EVENT_SECONDS = 2.0
DATABASE_PATIENCE_SECONDS = 60.0
"""How long a child waits for a Postgres that restarts."""
DATABASE_PAUSE_SECONDS = 0.3
SEEN_BY_SUPERVISOR = ("memory_bytes", "peak_memory_bytes")
"""Members of the progress that the supervisor writes (workers/vitals.py)."""
DATABASE_LOST = (OperationalError, InterfaceError)

EXIT_DONE, EXIT_BROKEN, EXIT_STOPPED, EXIT_LEASE_LOST = 0, 1, 75, 76
"""How a child ends: its last state is stored; it broke; it stopped when asked to; another attempt owns the job."""

_PROLONG = text(
    """
    UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND state = 'running'
    """
)

log = structlog.get_logger("remand.job")


class JobStopped(Exception):
    """Raised by a job after its checkpoint, because `stop_reason()` said so."""


class JobContext:
    """One attempt at a job. Every write of it holds the job row and checks the fence; LeaseLost ends the attempt."""

    def __init__(self, job_id: str, fence: int, flag: StopFlag | None = None) -> None:
        """Read the job. LeaseLost when there is no such job."""
        settings = get_settings()
        with reading() as session:
            job = get_job(session, job_id)
            if job is None:
                raise LeaseLost(f"{job_id} is gone")
        self.job_id = job_id
        self.fence = fence
        self.kind: str = job.kind
        self.corpus_id: str | None = job.corpus_id
        self.params: dict[str, Any] = job.params
        self.created_by: str | None = job.created_by
        self.checkpoint: dict[str, Any] | None = job.checkpoint
        self.blobs = BlobStore(settings.blob_root)
        self.work_dir: Path = settings.work_root / job_id
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self._flag = flag or StopFlag()
        self._inside = threading.local()
        self._pending: dict[str, Any] | None = None
        self._progress_at = self._progress_event_at = 0.0
        self._heart = Heartbeat(self.work_dir, fence)
        self._pace = Pace()

    def beat(self, stage: str | None = None) -> None:
        """A sign of life, to be given at every step of the work; telling, asking to stop and checkpoints give one, too."""
        self._heart.beat(stage)

    def expect_pace(self, units_per_second: float) -> None:
        """Say how fast `done` should grow: progress then tells the measured pace beside it, and `slow` where it falls behind."""
        self._pace.expected = units_per_second

    def emit(self, kind: str, data: dict[str, Any]) -> None:
        """Add a numbered event; inside `fenced()` it belongs to that transaction, else it has its own."""
        self.beat()

        def write(session: WriteSession) -> None:
            append_event(session, self.job_id, kind, data)

        self._write(write)

    def progress(self, **data: Any) -> None:
        """Say how far the job is: stored at most twice a second, an event at most every 2 s; never fails for a lost database.

        `stage`, `done` and `total` are understood; the pace is added where one is expected.
        """
        now = time.monotonic()
        self.beat(data.get("stage"))
        self._pending = data | self._pace.told(data.get("done"), now)
        if now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        with_event = now - self._progress_event_at >= PROGRESS_EVENT_SECONDS
        if with_event:
            self._progress_event_at = now
        try:
            with self._session() as session:
                self._store_progress(session, with_event=with_event)
        except DATABASE_LOST:
            log.warning("progress not stored: no database", job_id=self.job_id)

    @contextmanager
    def fenced(self) -> Iterator[WriteSession]:
        """A transaction that holds the job row and has checked fence and state; its commit prolongs the lease.

        Raises LeaseLost. Waits up to a minute for a database that restarts, before the block; never repeats the block.
        """
        with ExitStack() as stack:
            session = self._begin(stack)
            self._inside.session = session
            try:
                yield session
                session.flush()
                session.execute(_PROLONG, {"id": self.job_id, "seconds": get_settings().lease_seconds})
            finally:
                self._inside.session = None

    def transaction(self, body: Callable[[WriteSession], T]) -> T:
        """Run `body` in a fenced transaction, again from its start when the database went away meanwhile.

        `body` must give the same result when its first run was committed after all (check a watermark in it).
        """
        patience = time.monotonic() + DATABASE_PATIENCE_SECONDS
        while True:
            try:
                with self.fenced() as session:
                    return body(session)
            except DATABASE_LOST:
                if time.monotonic() > patience:
                    raise
                time.sleep(DATABASE_PAUSE_SECONDS)

    def save_checkpoint(self, data: dict[str, Any], session: WriteSession | None = None) -> None:
        """Store where a later attempt goes on (JSON; files of it lie complete in `work_dir`); attempts count anew."""
        self.beat()
        self.checkpoint = data
        if session is not None:
            store_checkpoint(session, self.job_id, self.fence, data)
        else:
            self._write(lambda own: store_checkpoint(own, self.job_id, self.fence, data))

    def stop_reason(self) -> StopReason | None:
        """Why to stop now, or None. On a reason: make a checkpoint, then raise JobStopped."""
        self.beat()
        return self._flag.reason()

    def succeed(self, session: WriteSession, result: dict[str, Any]) -> None:
        """End the job well, as the last write of the transaction that holds its results."""
        if self._pending is not None:
            self._store_progress(session, with_event=False)
        finish(session, self.job_id, self.fence, State.SUCCEEDED, result=result)

    def fail(self, failure: JobFailed) -> None:
        """End the job as failed, without retry."""
        error = {"code": failure.code, "detail": failure.detail, **failure.extra}
        self._write(lambda own: finish(own, self.job_id, self.fence, State.FAILED, error=error))

    def _begin(self, stack: ExitStack) -> WriteSession:
        """Open a transaction on `stack` that holds the job row."""
        patience = time.monotonic() + DATABASE_PATIENCE_SECONDS
        while True:
            try:
                with ExitStack() as attempt:
                    session = attempt.enter_context(writing())
                    lock_running(session, self.job_id, self.fence)
                    stack.push(attempt.pop_all())
                    return session
            except DATABASE_LOST:
                if time.monotonic() > patience:
                    raise
                time.sleep(DATABASE_PAUSE_SECONDS)

    @contextmanager
    def _session(self) -> Iterator[WriteSession]:
        """The surrounding fenced transaction of this thread, or a short one of its own."""
        current: WriteSession | None = getattr(self._inside, "session", None)
        if current is not None:
            yield current
            return
        with writing() as session:
            lock_running(session, self.job_id, self.fence)
            yield session

    def _write(self, body: Callable[[WriteSession], None]) -> None:
        """One small write, repeated while the database restarts."""
        current: WriteSession | None = getattr(self._inside, "session", None)
        if current is not None:
            body(current)
        else:
            self.transaction(body)

    def _store_progress(self, session: WriteSession, *, with_event: bool) -> None:
        data, self._pending = self._pending or {}, None
        job = lock_running(session, self.job_id, self.fence)
        seen = {name: job.progress[name] for name in SEEN_BY_SUPERVISOR if name in job.progress}
        job.progress = data | seen
        session.flush()
        if with_event:
            append_event(session, self.job_id, "progress", data)


def child_main(run: Callable[[JobContext], None]) -> None:
    """The main of a job's child process, started as `python -m MODULE JOB FENCE`; ends the process with an EXIT_ code."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("job_id")
    arguments.add_argument("fence", type=int)
    given = arguments.parse_args()
    configure_logging("job")
    flag = StopFlag()
    watch_supervisor(flag)
    folder = get_settings().work_root / given.job_id
    folder.mkdir(parents=True, exist_ok=True)
    dump_on_signal(folder)
    sys.exit(run_attempt(given.job_id, given.fence, run, flag))


def run_attempt(job_id: str, fence: int, run: Callable[[JobContext], None], flag: StopFlag) -> int:
    """One attempt in this process; gives the exit code. What a job failed of is stored, what broke is logged without content."""
    try:
        context = JobContext(job_id, fence, flag)
        try:
            run(context)
        except JobFailed as failure:
            context.fail(failure)
        except (JobStopped, LeaseLost):
            raise
        except Exception as error:  # noqa: BLE001  raised again unless the machine is at fault
            lack = _of_the_machine(error, context.work_dir)
            traceback.clear_frames(error.__traceback__)  # they hold what took the memory
            context.fail(lack)
    except JobStopped:
        return EXIT_STOPPED
    except LeaseLost as lost:
        log.warning("lease lost", job_id=job_id, detail=str(lost))
        return EXIT_LEASE_LOST
    except Exception as error:  # noqa: BLE001  the process boundary: said, and counted by the supervisor
        sys.stderr.write(describe(error) + "\n")
        return EXIT_BROKEN
    return EXIT_DONE


def _of_the_machine(error: Exception, work_dir: Path) -> JobFailed:
    """What the machine had too little of; the error itself, raised again, when it is no such thing."""
    failure = machine_failure(
        error, work_dir, taken=host_memory.own_peak_bytes(), limit=host_memory.own_limit_bytes()
    )
    if failure is None:
        raise error
    sys.stderr.write(describe(error) + "\n")
    return failure


def describe(error: BaseException) -> str:
    """Where and what, in one line; words only of errors that never quote a text (memory, files, modules, CUDA)."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    plain = isinstance(error, MemoryError | OSError | ImportError) or type(error) is RuntimeError
    words = f": {str(error)[:300]}" if plain else ""
    return f"{type(error).__name__}{words} (at {where})"
