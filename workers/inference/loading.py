"""From a blob digest to an adapter in memory: fetch, unpack safely, verify, load onto the one shared base model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import structlog

from app.blobs import BlobStore
from models.adapters.folder import verify
from models.adapters.load import load_adapter
from models.encoder.int8 import int8_encoder
from models.encoder.load import Encoder, Quantization
from models.encoder.pace import Batching, usual_batching
from workers.adapter_archive import unpacked
from workers.inference.adapter_reader import EXACT, AdapterReader, adapter_reader

log = structlog.get_logger()


TRANSFORMERS = threading.Lock()
"""Held while weights are loaded: transformers' loading changes settings of the whole process."""
Held = tuple[str, Quantization | None, bool]
"""A base model by name, by how its weights are held, and whether in fp32 whatever the device prefers."""


class Base(NamedTuple):
    """A base model and how to read with it."""

    encoder: Encoder
    batching: Batching
    low: Encoder | None = None
    """The same in 8 bits, where the operator wants that."""


class Bases:
    """Base models by name and by how their weights are held, each loaded once and kept. Thread-safe.

    One loads at a time, since transformers' loading changes settings of the whole process; who asks for one that is there
    does not wait.
    """

    def __init__(
        self, load: Callable[[str, Quantization | None, bool], Encoder],
        measure: Callable[[Encoder], Batching] = usual_batching, int8: bool = False,
    ) -> None:  # fmt: skip
        """Args:
        load: finds and loads a base model by name, in 4 bits where that is named, in fp32 where that is wanted.
        measure: how its windows are best put into batches.
        int8: whether each is also made ready in 8 bits.
        """
        self._load = load
        self._measure = measure
        self._int8 = int8
        self._lock = threading.Lock()
        self._loaded: dict[Held, Base] = {}

    def get(self, name: str, quantization: Quantization | None = None, exact: bool = False) -> Base:
        """The base model and how to read with it; raises what loading raises.

        Args:
            name: of the base model.
            quantization: how its weights are held.
            exact: whether in fp32, and not in 8 bits.
        """
        key = (name, quantization, exact)
        if key not in self._loaded:
            with self._lock:
                if key not in self._loaded:
                    with TRANSFORMERS:
                        encoder = self._load(name, quantization, exact)
                    low = int8_encoder(encoder) if self._int8 and not exact else None
                    batching = self._measure(low or encoder)
                    log.info(
                        "base model loaded", name=name, int8=low is not None, forward=batching.name, batch_tokens=batching.tokens,
                        measured=[f"{layout} {budget}: {speed} tokens/s" for layout, budget, speed in batching.speeds],
                    )  # fmt: skip
                    self._loaded[key] = Base(encoder, batching, low)
        return self._loaded[key]

    @property
    def batchings(self) -> dict[str, dict[str, object]]:
        """How each loaded base model is read, and what was measured, JSON-ready."""
        return {
            name + (f" ({held})" if held else "") + (" in fp32" if exact else ""): {
                "forward": base.batching.name,
                "batch_tokens": base.batching.tokens,
                "precision": "int8" if base.low else str(base.encoder.dtype).removeprefix("torch."),
                "measured": [list(arm) for arm in base.batching.speeds],
            }
            for (name, held, exact), base in list(self._loaded.items())
        }


def load_reader(digest: str, blobs: BlobStore, cache: Path, bases: Bases) -> AdapterReader:
    """Load the adapter whose tar has a blob digest.

    Args:
        digest: of the blob; followed by EXACT: in fp32.
        blobs: where it lies.
        cache: folder for unpacked adapters.
        bases: base models.

    Raises:
        FileNotFoundError: the store has no such blob.
        AdapterInvalidError: what is in it is not a whole adapter.
        ModelUnavailableError, WrongBaseError, QuantizationUnavailableError: its base model is not to be had.
    """
    digest, exact = digest.removesuffix(EXACT), digest.endswith(EXACT)
    folder = unpacked(digest, blobs, cache)
    manifest = verify(folder)
    base = manifest["base"]
    found = bases.get(base["name"], base.get("quantization"), exact)
    adapter = load_adapter(folder, found.encoder)
    # What fold models have seen is the relabel job's business; here it would only take memory.
    reader = adapter_reader(replace(adapter, seen={}), digest, found.batching, found.low)
    log.info(
        "adapter loaded", digest=digest, mebibytes=round(reader.size / 2**20, 1), members=len(adapter.members)
    )
    return reader
