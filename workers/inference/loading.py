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
from models.encoder.pace import Batching, usual_batching
from workers.adapter_archive import unpacked
from workers.inference.adapter_reader import AdapterReader, adapter_reader

log = structlog.get_logger()


TRANSFORMERS = threading.Lock()
"""Held while weights are loaded: transformers' loading changes settings of the whole process."""
Held = tuple[str, Quantization | None]
"""A base model by name and by how its weights are held."""


class Bases:
    """Base models by name and by how their weights are held, each loaded once and kept. Thread-safe.

    One loads at a time, since transformers' loading changes settings of the whole process; who asks for one that is there
    does not wait.
    """

    def __init__(
        self, load: Callable[[str, Quantization | None], Encoder],
        measure: Callable[[Encoder], Batching] = usual_batching,
    ) -> None:  # fmt: skip
        """Args:
        load: finds and loads a base model by name, in 4 bits where that is named.
        measure: how its windows are best put into batches.
        """
        self._load = load
        self._measure = measure
        self._lock = threading.Lock()
        self._loaded: dict[Held, tuple[Encoder, Batching]] = {}

    def get(self, name: str, quantization: Quantization | None = None) -> tuple[Encoder, Batching]:
        """The base model and how to read with it; raises what loading raises."""
        key = (name, quantization)
        if key not in self._loaded:
            with self._lock:
                if key not in self._loaded:
                    with TRANSFORMERS:
                        encoder = self._load(name, quantization)
                    batching = self._measure(encoder)
                    log.info(
                        "base model loaded", name=name, forward=batching.name, batch_tokens=batching.tokens,
                        measured=[f"{layout} {budget}: {speed} tokens/s" for layout, budget, speed in batching.speeds],
                    )  # fmt: skip
                    self._loaded[key] = encoder, batching
        return self._loaded[key]

    @property
    def batchings(self) -> dict[str, dict[str, object]]:
        """How each loaded base model is read, and what was measured, JSON-ready."""
        return {
            name + (f" ({held})" if held else ""): {
                "forward": batching.name,
                "batch_tokens": batching.tokens,
                "measured": [list(arm) for arm in batching.speeds],
            }
            for (name, held), (_, batching) in list(self._loaded.items())
        }


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
    encoder, batching = bases.get(base["name"], base.get("quantization"))
    adapter = load_adapter(folder, encoder)
    # What fold models have seen is the relabel job's business; here it would only take memory.
    reader = adapter_reader(replace(adapter, seen={}), digest, batching)
    log.info(
        "adapter loaded", digest=digest, mebibytes=round(reader.size / 2**20, 1), members=len(adapter.members)
    )
    return reader
