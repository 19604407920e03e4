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
from models.encoder.load import Encoder, Quantization
from workers.adapter_archive import unpacked
from workers.inference.adapter_reader import AdapterReader, adapter_reader

log = structlog.get_logger()


class Bases:
    """Base models by name and by how their weights are held, each loaded once and kept. Thread-safe."""

    def __init__(self, load: Callable[[str, Quantization | None], Encoder]) -> None:
        """load: finds and loads a base model by name, in 4 bits where that is named."""
        self._load = load
        self._lock = threading.Lock()
        self._encoders: dict[tuple[str, Quantization | None], Encoder] = {}

    def get(self, name: str, quantization: Quantization | None = None) -> Encoder:
        """The base model; raises what loading raises."""
        with self._lock:
            key = (name, quantization)
            if key not in self._encoders:
                self._encoders[key] = self._load(name, quantization)
            return self._encoders[key]


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
        ModelUnavailableError, WrongBaseError, QuantizationUnavailableError: its base model is not to be had.
    """
    folder = unpacked(digest, blobs, cache)
    manifest = verify(folder)
    base = manifest["base"]
    adapter = load_adapter(folder, bases.get(base["name"], base.get("quantization")))
    # What fold models have seen is the relabel job's business; here it would only take memory.
    reader = adapter_reader(replace(adapter, seen={}), digest)
    log.info(
        "adapter loaded", digest=digest, mebibytes=round(reader.size / 2**20, 1), members=len(adapter.members)
    )
    return reader
