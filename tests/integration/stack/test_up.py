"""The whole stack as people run it: up, a second up, a death, backup, down, restore, up again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from app.stack.account import service_account
from app.stack.redis_server import free_port
from app.stack.state import read_state
from tests.integration.embedded import server_folder

ROOT = Path(__file__).resolve().parents[3]
PARTS = ["postgres", "redis", "inference", "jobs", "dispatcher", "api"]


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder with ports of its own."""

    folder: Path
    port: int

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app.cli.main", *arguments]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=self.environment() | environment,
        )

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "2",
            "REMAND_HOME": str(self.folder),
            "REMAND_PORT": str(self.port),
            "REMAND_INFERENCE_PORT": str(free_port()),
        }

    def status(self) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.run("status", "--json").stdout)
        return document

    def pids(self) -> dict[str, int]:
        state = read_state(self.folder)
        assert state is not None
        return {part.name: part.pid for part in state.parts if part.pid is not None}


@pytest.fixture
def place() -> Iterator[Place]:
    with server_folder() as folder:
        here = Place(folder, free_port())
        yield here
        here.run("down")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def signed_in(place: Place) -> bool:
    connection = json.loads((place.folder / "connection.json").read_text())
    assert connection["url"] == f"http://127.0.0.1:{place.port}"
    headers = {"Authorization": f"Bearer {connection['api_key']}"}
    return httpx.get(f"{connection['url']}/corpora", headers=headers, trust_env=False).status_code == 200


@pytest.mark.slow
@pytest.mark.fault
def test_the_life_of_a_stack(place: Place, tmp_path: Path) -> None:
    first = place.run("up", "--detach")
    assert first.returncode == 0, first.stderr
    assert f"Remand is ready at http://127.0.0.1:{place.port}" in first.stdout
    key = next(line.rpartition(" ")[2] for line in first.stdout.splitlines() if "shown this once" in line)
    link = next(line.rpartition(" ")[2] for line in first.stdout.splitlines() if "/sign-in?token=" in line)
    assert httpx.get(link, trust_env=False).status_code < 400
    assert signed_in(place)

    # everything answers, as the service's user; no secret is in a log
    document = place.status()
    assert document["healthy"] is True
    assert [part["name"] for part in document["parts"]] == PARTS  # type: ignore[attr-defined]
    assert {psutil.Process(pid).username() for pid in place.pids().values()} == {service_account().name}
    logs = "".join(path.read_text(errors="replace") for path in (place.folder / "logs").iterdir())
    assert key not in logs
    assert link.rpartition("=")[2] not in logs

    # a second one, and another folder on the same port, are told
    second = place.run("up")
    assert (second.returncode, second.stdout) == (3, "")
    assert "Remand is running already at" in second.stderr
    elsewhere = place.run("up", REMAND_HOME=str(place.folder.parent / "other"))
    assert elsewhere.returncode == 69
    assert (
        f"Cannot listen on 127.0.0.1:{place.port}: taken by process {place.pids()['api']}" in elsewhere.stderr
    )

    # parts that die come back, the database too, and it is reported
    before = place.pids()
    for name in ("api", "postgres"):
        os.kill(before[name], signal.SIGKILL)
    wait_for(
        lambda: (
            place.pids().get("api") not in {None, before["api"]}
            and place.pids().get("postgres") not in {None, before["postgres"]}
        )
    )
    wait_for(lambda: place.status()["healthy"] is True)
    events = " ".join(place.status()["events"])  # type: ignore[arg-type]
    assert "api was killed by signal 9; starting it again in 0.5 s" in events
    assert "postgres was killed by signal 9" in events

    # a backup of the running stack
    state = read_state(place.folder)
    assert state is not None
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    blob = place.folder / "blobs" / digest[:2] / digest
    blob.parent.mkdir(mode=0o700)
    blob.write_bytes(b"abc")
    with psycopg.connect(state.database_url) as connection:
        connection.execute(
            "INSERT INTO blobs (digest, size, media_type, purpose) VALUES (%s, 3, 'text/plain', 'upload')",
            (digest,),
        )
    archive = tmp_path / "backup.tar"
    assert place.run("backup", str(archive)).stdout.startswith(f"Wrote {archive}: 1 blobs")
    assert archive.stat().st_mode & 0o077 == 0
    assert "exists already and is not overwritten" in place.run("backup", str(archive)).stderr

    # a killed supervisor takes everything with it; what stands still can be backed up, too
    orphans = [psutil.Process(pid) for pid in place.pids().values()]
    os.kill(state.pid, signal.SIGKILL)
    assert psutil.wait_procs(orphans, timeout=60)[1] == []
    assert place.run("status").returncode == 4
    assert place.run("backup", str(tmp_path / "still.tar")).returncode == 0

    # restore: not over data, not from a damaged archive, but into an empty folder, where the old key is good again
    assert "is not empty" in place.run("restore", str(archive)).stderr
    other = Place(place.folder.parent / "restored", free_port())
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(archive.read_bytes()[:-20000])
    assert other.run("restore", str(damaged)).returncode == 1
    assert not other.folder.exists()
    restored = other.run("restore", str(archive))
    assert restored.returncode == 0, restored.stderr
    try:
        again = other.run("up", "--detach")
        assert "shown this once" not in again.stdout
        assert json.loads((other.folder / "connection.json").read_text())["api_key"] == key
        assert signed_in(other)
        assert (other.folder / "blobs" / digest[:2] / digest).read_bytes() == b"abc"
        assert (other.folder / "blobs").owner() == service_account().name

        # down ends every process
        running = [psutil.Process(pid) for pid in other.pids().values()]
        assert other.run("down").stdout == "Remand has stopped.\n"
        assert not [process for process in running if process.is_running()]
    finally:
        other.run("down")


def test_a_start_that_fails_says_why_and_leaves_nothing_running(place: Place) -> None:
    failed = place.run("up", "--detach", REMAND_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert failed.returncode == 70
    assert "The migration ended with status" in failed.stderr
    assert place.run("status").returncode == 4


def test_ctrl_c_during_the_start_stops_what_has_started(place: Place) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli.main", "up"],
        env=place.environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    ) as starting:
        assert starting.stdout is not None
        while "redis is ready" not in starting.stdout.readline():
            pass
        pids = place.pids()
        starting.send_signal(signal.SIGINT)
        rest = starting.stdout.read()
    assert starting.returncode == 0
    assert rest.endswith("everything has stopped\n")
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
