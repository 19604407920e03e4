"""The other servers of `bench.serve`: how each is installed, started, asked, and how its answer is read.

Each lives in a virtual environment of its own below one folder (`--peers FOLDER`), named as here; what is not there is skipped and said.

    python3 -m venv FOLDER/litserve && FOLDER/litserve/bin/pip install torch==2.13.0 transformers litserve
    python3 -m venv FOLDER/bentoml  && FOLDER/bentoml/bin/pip install torch==2.13.0 transformers bentoml
    python3 -m venv FOLDER/ray      && FOLDER/ray/bin/pip install torch==2.13.0 transformers 'ray[serve]'
    python3 -m venv FOLDER/infinity && FOLDER/infinity/bin/pip install torch==2.13.0 'infinity-emb[torch,server]==0.0.78' 'transformers==4.57.*'
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

HERE = Path(__file__).parent / "peers"
START_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Arm:
    """A server that is up, and how a text is sent to it."""

    name: str
    url: str
    body: Callable[[str], Any]
    read: Callable[[Any], Sequence[float]]
    """Probabilities of the first text from an answer's JSON."""
    headers: dict[str, str] = field(default_factory=dict)
    pids: tuple[int, ...] = ()
    seen: str = "answers equal to the adapter's"
    """What was checked of its answers."""
    checked: bool = True
    """Whether its model is the adapter."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How a server is started and asked."""

    name: str
    command: Callable[[Path, Path, int], list[str]]
    """From its environment's bin folder, the model folder and a port."""
    path: str
    body: Callable[[str], Any]
    read: Callable[[Any], Sequence[float]]
    is_adapter: bool = True


PEERS = (
    Peer(
        "litserve", lambda bin_, _model, _port: [str(bin_ / "python"), "litserve_app.py"],
        "/predict", lambda text: {"text": text}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "bentoml",
        lambda bin_, _model, port: [str(bin_ / "bentoml"), "serve", "bentoml_app:Classifier", "--host", "127.0.0.1", "--port", str(port)],
        "/classify", lambda text: {"texts": [text]}, lambda answer: answer[0],
    ),
    Peer(
        "ray", lambda bin_, _model, _port: [str(bin_ / "python"), "ray_app.py"],
        "/classify", lambda text: {"text": text}, lambda answer: answer["probabilities"],
    ),
    Peer(
        "infinity",
        lambda bin_, model, port: [
            str(bin_ / "infinity_emb"), "v2", "--model-id", str(model / "sequence"), "--served-model-name", "minilm", "--engine", "torch",
            "--device", "cpu", "--dtype", "float32", "--no-bettertransformer", "--host", "127.0.0.1", "--port", str(port),
            "--batch-size", os.environ.get("BENCH_MAX_BATCH", "32"), "--no-compile", "--log-level", "warning",
        ],
        "/classify", lambda text: {"model": "minilm", "input": [text], "raw_scores": True},
        lambda answer: [entry["score"] for entry in sorted(answer["data"][0], key=lambda entry: entry["label"])],
        is_adapter=False,
    ),
)  # fmt: skip


@contextmanager
def peer_server(peer: Peer, peers: Path, model: Path, threads: int, batch: int) -> Iterator[Arm]:
    """A peer, up and answering; FileNotFoundError without its environment, RuntimeError when it does not come up."""
    bin_ = peers / peer.name / "bin"
    if not bin_.is_dir():
        raise FileNotFoundError(f"no environment {peers / peer.name}")
    port = free_port()
    environment = {
        **os.environ, "BENCH_MODEL": str(model), "BENCH_THREADS": str(threads), "BENCH_MAX_BATCH": str(batch),
        "BENCH_PORT": str(port), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
        "INFINITY_ANONYMOUS_USAGE_STATS": "0", "DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True",
        "RAY_USAGE_STATS_ENABLED": "0", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = model / f"{peer.name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            peer.command(bin_, model, port), cwd=HERE, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        arm = Arm(
            peer.name, f"http://127.0.0.1:{port}{peer.path}", peer.body, peer.read,
            pids=(process.pid,), checked=peer.is_adapter,
        )  # fmt: skip
        _wait(arm, process, log)
        yield arm
    finally:
        _end(process)


def asked(arm: Arm, text: str, client: httpx.Client) -> list[float]:
    """What an arm answers for a text."""
    answer = client.post(arm.url, json=arm.body(text), headers=arm.headers)
    answer.raise_for_status()
    return [float(value) for value in arm.read(answer.json())]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(arm: Arm, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(timeout=60, trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                asked(arm, "Is anybody there?", client)
            except (httpx.HTTPError, KeyError, IndexError, json.JSONDecodeError):
                time.sleep(0.5)
            else:
                return
    raise RuntimeError(f"it did not come up; its output ends: {log.read_text(errors='replace')[-1500:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server with every process of its session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            continue
    process.wait(15)


def described(versions: Mapping[str, str]) -> str:
    """Names with versions."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def version_of(peer: str, peers: Path) -> str:
    """The installed version of a peer."""
    package = {"infinity": "infinity-emb"}.get(peer, peer)
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run(
        [str(peers / peer / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"
