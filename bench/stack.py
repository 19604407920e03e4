"""A throwaway Remand for a benchmark: the real `remand up` in a temporary folder on free ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running Remand."""

    client: httpx.Client
    """Of the api, with the admin key."""
    key: str
    inference: str
    """Address of the inference worker."""
    inference_token: str
    home: Path

    def processes(self) -> dict[str, int]:
        """Ids of its parts' processes, by the parts' names."""
        state = json.loads((self.home / "state.json").read_text())
        return {part["name"]: part["pid"] for part in state["parts"] if part["pid"]}


@contextmanager
def running_stack(keep: bool = False) -> Iterator[httpx.Client]:
    """As `running`; gives the client alone."""
    with running(keep) as stack:
        yield stack.client


@contextmanager
def running(keep: bool = False, **settings: str) -> Iterator[Stack]:
    """Start everything, stop everything; RuntimeError with the log's end if it does not come up.

    Args:
        keep: leave the folder.
        settings: environment variables beside the caller's.
    """
    home = Path(tempfile.mkdtemp(prefix="remand-bench-"))
    home.chmod(0o755)  # as root the servers run as another user, who must be able to enter
    environment = {
        **os.environ,
        **settings,
        "REMAND_HOME": str(home / "data"),
        "REMAND_PORT": str(_free_port()),
        "REMAND_INFERENCE_PORT": str(_free_port()),
    }
    log = home / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "up"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        with closing(_client(home / "data" / "connection.json", process, log)) as client:
            inference = f"http://127.0.0.1:{environment['REMAND_INFERENCE_PORT']}"
            _wait_for(inference)
            token = json.loads((home / "data" / "secrets.json").read_text())["inference_token"]
            key = client.headers["Authorization"].partition(" ")[2]
            yield Stack(client, key, inference, token, home / "data")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        if not keep:
            shutil.rmtree(home, ignore_errors=True)


def _client(connection: Path, process: subprocess.Popen[bytes], log: Path) -> httpx.Client:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if connection.exists():
            found = json.loads(connection.read_text())
            client = httpx.Client(
                base_url=found["url"], headers={"Authorization": f"Bearer {found['api_key']}"}, timeout=120
            )
            if _ready(client):
                return client
            client.close()
        time.sleep(0.2)
    raise RuntimeError(f"Remand did not come up; its output ends:\n{log.read_text()[-3000:]}")


def _wait_for(inference: str) -> None:
    """Until the inference worker answers: the api is ready without it."""
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=inference, timeout=30, trust_env=False) as client:
        while not _ready(client):
            if time.monotonic() > deadline:
                raise RuntimeError("the inference worker did not come up")
            time.sleep(0.2)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
