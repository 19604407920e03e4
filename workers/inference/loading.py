"""From a blob digest to an adapter in memory: fetch, unpack safely, verify, load onto the one shared base model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from app.blobs import BlobStore
from models.adapters.folder import verify
from models.adapters.load import load_adapter
from models.encoder.load import Encoder
from workers.adapter_archive import unpacked
from workers.inference.adapter_reader import AdapterReader, adapter_reader

log = structlog.get_logger()


class Bases:
    """Base models by name, each loaded once and kept. Thread-safe."""

    def __init__(self, load: Callable[[str], Encoder]) -> None:
        """load: finds and loads a base model by name."""
        self._load = load
        self._lock = threading.Lock()
        self._encoders: dict[str, Encoder] = {}

    def get(self, name: str) -> Encoder:
        """The base model; raises what loading raises."""
        with self._lock:
            if name not in self._encoders:
                self._encoders[name] = self._load(name)
            return self._encoders[name]


def load_reader(digest: str, blobs: BlobStore, cache: Path, bases: Bases) -> AdapterReader:
    """Load the adapter whose tar has a blob digest.

    Args:
        digest: of the blob.
        blobs: where it lies.
        cache: folder for unpacked adapters.
        bases: base models.

    Raises:
        FileNotFoundError: the store has no such blob.
        AdapterInvalidError: what is in it is not a whole adapter.
        ModelUnavailableError, WrongBaseError: its base model is not to be had.
    """
    folder = unpacked(digest, blobs, cache)
    manifest = verify(folder)
    adapter = load_adapter(folder, bases.get(manifest["base"]["name"]))
    # What fold models have seen is the relabel job's business; here it would only take memory.
    reader = adapter_reader(replace(adapter, seen={}), digest)
    log.info(
        "adapter loaded", digest=digest, mebibytes=round(reader.size / 2**20, 1), members=len(adapter.members)
    )
    return reader
