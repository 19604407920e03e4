"""A real inference worker as a process, with tiny models that write and adapters on them in its blob store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.blobs import BlobStore
from tests.integration.inference_server import until
from tests.tiny_writer import FAMILIES, adapter_tar, make_writer, make_writer_adapter

ROOT = Path(__file__).parents[1]
PATIENCE = 90


@dataclass(frozen=True, slots=True)
class Worker:
    """The process, a client of it, and what it can load."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    url: str
    models: Path
    blobs: Path
    folders: dict[str, Path]
    """Of adapters, by family."""
    digests: dict[str, str]
    """Of their blobs."""

    def post(self, path: str, **body: Any) -> httpx.Response:
        """A request with a JSON body."""
        return self.client.post(path, json=body)

    def base(self, family: str) -> str:
        """The folder of a base model, as requests name it."""
        return str(self.models / family)


@contextmanager
def writing_worker(place: Path, **settings: str) -> Iterator[Worker]:
    """A worker for the length of a block; `settings` are environment variables."""
    store, folders, digests = BlobStore(str(place / "blobs")), {}, {}
    for family in FAMILIES:
        make_writer(place / "models" / family, family)
        folders[family] = place / "adapters" / family
        make_writer_adapter(folders[family], place / "models" / family, family)
        digests[family] = store.put_bytes(adapter_tar(folders[family])).digest
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | settings | {
        "REMAND_BLOB_ROOT": str(place / "blobs"), "REMAND_WORK_ROOT": str(place / "work"), "REMAND_INFERENCE_PORT": str(port),
        "REMAND_MODEL_DIRS": str(place / "models"), "REMAND_DEVICE": "cpu", "REMAND_THREADS": "1",
        "REMAND_INFERENCE_PRECISION": "fp32",  # as transformers and peft compute beside it
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "workers.inference"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False) as client:

        def ready() -> bool:
            assert process.poll() is None
            try:
                return client.get("/readyz").is_success
            except httpx.TransportError:
                return False

        try:
            until(ready)
            yield Worker(process, client, url, place / "models", place / "blobs", folders, digests)
        finally:
            process.kill()
            process.wait(PATIENCE)
