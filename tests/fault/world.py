"""Real processes against real embedded servers, with leases of two seconds: what the kill tests run in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
from psycopg.rows import dict_row

from app.stack.account import service_account
from app.stack.binaries import runnable_binaries
from app.stack.embedded import wait_until_ready
from app.stack.folders import private_folder
from app.stack.postgres import postgres_answers, prepare_postgres
from app.stack.program import Program, kill, launch, stop
from app.stack.redis_server import free_port, prepare_redis, redis_answers

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 60.0
TEST_KINDS = ",".join(
    (
        "probe=tests.fault.probe_job",
        "drill=tests.fault.probe_job:trainer",
        "relabel=tests.fault.relabel_in_small_chunks",
        "summary=tests.fault.summarize_in_small_chunks",
    )
)
"""Kinds for tests: `drill` jobs own a device as trainers do, `relabel` and `summary` are the real ones in chunks of five texts."""
T = TypeVar("T")

COMMANDS = {
    "dispatcher": ("-m", "workers.dispatch"),
    "jobs": (
        "-m",
        "celery",
        "-A",
        "workers.celery_app",
        "worker",
        "--pool=threads",
        "--without-gossip",
        "--without-mingle",
    ),
    "api": ("-m", "uvicorn", "app.main:create_app", "--factory", "--log-level", "warning", "--port"),
    "inference": ("-m", "workers.inference"),
}


def until(what: str, condition: Callable[[], T | None], seconds: float = DEADLINE_SECONDS) -> T:
    """The first true value of a condition; AssertionError with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.03)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass
class World:
    """Servers and processes by name, and the way to look at their database."""

    folder: Path
    database_url: str
    servers: dict[str, tuple[Program, Callable[[], bool]]]
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def api_url(self) -> str:
        """Where the api listens."""
        return f"http://127.0.0.1:{self.environment['REMAND_PORT']}"

    def start(self, *names: str) -> None:
        """Start what does not run."""
        for name in names:
            if name in self.running and self.running[name].poll() is None:
                continue
            with (self.folder.parent / f"{name}.log").open("ab") as output:
                if name in self.servers:
                    program, answers = self.servers[name]
                    self.running[name] = launch(program, output)
                    wait_until_ready(self.running[name], answers, self.folder / name / "server.log")
                else:
                    self.running[name] = self._launch(name, output)

    def _launch(self, name: str, output: Any) -> subprocess.Popen[bytes]:
        port = (self.environment["REMAND_PORT"],) if name == "api" else ()
        return subprocess.Popen(
            (sys.executable, *COMMANDS[name], *port),
            cwd=ROOT,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, name: str) -> None:
        """SIGKILL one process, and nothing else by hand; returns once it and, for Postgres, its backends are gone."""
        process = self.running.pop(name)
        backends = psutil.Process(process.pid).children(recursive=True) if name == "postgres" else []
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        psutil.wait_procs(backends, timeout=30)

    def stop(self, name: str, seconds: float = 30.0) -> int:
        """SIGTERM, and its exit status."""
        process = self.running.pop(name)
        process.terminate()
        return process.wait(seconds)

    def log_of(self, name: str) -> str:
        """What a process has written so far."""
        return (self.folder.parent / f"{name}.log").read_text(errors="replace")

    def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Rows of a query; waits for a database that is being restarted by another test step."""
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def job(self, job_id: str) -> dict[str, Any]:
        """A job row."""
        (row,) = self.rows("SELECT * FROM jobs WHERE id = %s", job_id)
        return row

    def events(self, job_id: str) -> list[dict[str, Any]]:
        """Events of a job in order."""
        return self.rows(
            "SELECT number, kind, data FROM job_events WHERE job_id = %s ORDER BY number", job_id
        )

    def event(self, job_id: str, kind: str, count: int = 1) -> dict[str, Any]:
        """The count-th event of a kind, once it is there."""

        def found() -> dict[str, Any] | None:
            matching = [event for event in self.events(job_id) if event["kind"] == kind]
            return matching[count - 1] if len(matching) >= count else None

        return until(f"event {kind} of {job_id}", found)

    def ended(self, job_id: str, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
        """The job row in its final state."""

        def final() -> dict[str, Any] | None:
            row = self.job(job_id)
            return row if row["finished_at"] else None

        return until(f"the end of {job_id}", final, seconds)

    def probe(self, kind: str = "probe", **params: Any) -> str:
        """Queue a job of tests/fault/probe_job.py as the api would; gives its id."""
        from app.db.session import engine_for, writing
        from app.jobs.queries import create_job

        with writing(engine_for(self.database_url)) as session:
            return create_job(session, kind, None, params, "test").id

    def queue(self, kind: str, corpus: str, params: dict[str, Any]) -> str:
        """Queue a job for a corpus as the api would; gives its id."""
        from app.db.session import engine_for, writing
        from app.jobs.queries import create_job

        (row,) = self.rows("SELECT id FROM corpora WHERE name = %s", corpus)
        with writing(engine_for(self.database_url)) as session:
            return create_job(session, kind, row["id"], params, "test").id

    def child(self, module: str, job_id: str) -> psutil.Process:
        """The child process that runs a job, once it has become `python -m module job fence`."""

        def found() -> psutil.Process | None:
            for process in psutil.process_iter(["cmdline"]):
                words = process.info["cmdline"] or []
                if (
                    module in words
                    and job_id in words
                    and not any(word.endswith("leash.py") for word in words)
                ):
                    return process
            return None

        return until(f"the child of {job_id}", found)

    def steps(self, job_id: str) -> list[int]:
        """The steps that a probe job wrote, in order."""
        return [
            row["step"]
            for row in self.rows("SELECT step FROM probe_steps WHERE job_id = %s ORDER BY step", job_id)
        ]


@contextmanager
def world_in(folder: Path) -> Iterator[World]:
    """A world with running servers and a migrated database; every process is gone afterwards."""
    account = service_account()
    private_folder(folder, account)
    binaries = runnable_binaries(account, folder / "bin")
    postgres = prepare_postgres(folder, binaries.postgres, account)
    redis = prepare_redis(folder, binaries.redis, account)
    servers = {
        "postgres": (postgres.program, lambda: postgres_answers(postgres.url)),
        "redis": (redis.program, lambda: redis_answers(redis.url)),
    }
    world = World(folder, postgres.url, servers, _environment(folder.parent, postgres.url, redis.url))
    try:
        world.start("postgres", "redis")
        _migrate(postgres.url)
        yield world
    finally:
        for name in sorted(world.running, key=lambda name: name in servers):
            process = world.running[name]
            if name in servers:
                stop(process, servers[name][0])
            else:
                kill(process)
                process.wait()


def _environment(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "REMAND_DATABASE_URL": database_url,
        "REMAND_REDIS_URL": redis_url,
        "REMAND_BLOB_ROOT": str(folder / "blobs"),
        "REMAND_WORK_ROOT": str(folder / "work"),
        "REMAND_HOME": str(folder / "home"),
        "REMAND_SECRET_KEY": "a key for tests",
        "REMAND_LEASE_SECONDS": "2",
        "REMAND_RENEW_SECONDS": "0.5",
        "REMAND_POLL_SECONDS": "0.5",
        "REMAND_MEASURE_WAIT_SECONDS": "0",
        "REMAND_PORT": str(free_port()),
        "REMAND_INFERENCE_PORT": (inference := str(free_port())),
        "REMAND_INFERENCE_URLS": f"http://127.0.0.1:{inference}",
        "REMAND_MODEL_DIRS": str(folder / "models"),
        "REMAND_DEVICE": "cpu",
        "REMAND_TRAINER_NICE": "0",
        "REMAND_THREADS": "2",
        "REMAND_TEST_JOB_KINDS": TEST_KINDS,
        "PYTHONUNBUFFERED": "1",
    }


def _migrate(url: str) -> None:
    from app.db.migrate import upgrade
    from tests.fault.probe_job import TABLE

    upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLE)
