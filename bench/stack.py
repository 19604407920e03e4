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
from pathlib import Path

import httpx

START_SECONDS = 180.0


@contextmanager
def running_stack(keep: bool = False) -> Iterator[httpx.Client]:
    """Start everything, give a client with the admin key, stop everything; RuntimeError with the log's end if it does not come up."""
    home = Path(tempfile.mkdtemp(prefix="remand-bench-"))
    home.chmod(0o755)  # as root the servers run as another user, who must be able to enter
    environment = {
        **os.environ,
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
            yield client
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


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
