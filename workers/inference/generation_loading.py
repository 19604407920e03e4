"""Models that write, from a base model's name or an adapter's blob: words first, weights when somebody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import structlog
import torch

from app.blobs import BlobStore
from models.adapters.folder import verify
from models.adapters.load import WrongBaseError
from models.generative.decode.load import MERGED_BYTES, Writer, adapted, load_writer
from models.generative.decode.low_rank import read_low_rank
from models.generative.decode.wording import Wording, read_wording
from workers.adapter_archive import unpacked
from workers.inference.generation_wire import ModelKey
from workers.inference.loading import TRANSFORMERS

log = structlog.get_logger()

_WORDING_BYTES = 16 << 20


class WrongTaskError(ValueError):
    """An adapter that was made for something else."""

    code = "wrong-task"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedWriter:
    """A model in memory."""

    writer: Writer
    adapter: str | None = None
    """Digest of the adapter's manifest."""
    base: LoadedWriter | None = None
    """The base model whose weights it shares."""
    sharers: WeakSet[LoadedWriter] = field(default_factory=WeakSet)
    """Of a base model: whoever uses its weights, itself not counted."""

    @property
    def size(self) -> int:
        """Bytes of its own, and its part of those that it shares."""
        whole = self if self.base is None else self.base
        part = whole.writer.bytes // (1 + len(whole.sharers))
        return part if self.base is None else self.writer.own_bytes + part

    @property
    def description(self) -> dict[str, Any]:
        """What answers say about the model."""
        wording = self.writer.wording
        return {
            "name": self.writer.name,
            "sha256": self.writer.sha256,
            "adapter": self.adapter,
            "family": wording.family,
            "longest_input": wording.longest_input,
        }


@dataclass(frozen=True, slots=True, eq=False)
class LoadedWording:
    """A tokenizer in memory."""

    wording: Wording
    size: int = _WORDING_BYTES


class WriterLoader:
    """Finds and loads models. Thread-safe; what is loaded is kept by whoever asked."""

    def __init__(
        self,
        locate: Callable[[str], Path],
        device: torch.device,
        blobs: BlobStore,
        cache: Path,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Args:
        locate: the folder of a base model, or an error that says why there is none.
        device: where models run.
        blobs: where adapters lie.
        cache: folder for unpacked adapters.
        dtype: of weights; None: what the device computes best.
        """
        self._dtype = dtype
        self._locate = locate
        self._device = device
        self._blobs = blobs
        self._cache = cache
        self._lock = threading.Lock()
        self._bases: WeakValueDictionary[str, LoadedWriter] = WeakValueDictionary()

    def wording(self, key: ModelKey) -> LoadedWording:
        """The words of a model; raises as `writer` does."""
        if key.kind == "base":
            return LoadedWording(read_wording(self._locate(key.name), key.name))
        manifest, _ = self._adapter(key.name)
        base = manifest["base"]["name"]
        return LoadedWording(read_wording(self._locate(base), base, manifest["reading"]))

    def writer(self, key: ModelKey) -> LoadedWriter:
        """The model itself.

        Raises:
            FileNotFoundError: the store has no such blob.
            AdapterInvalidError, WrongTaskError: it is not a whole adapter, or not one that writes.
            ModelUnavailableError, NotGenerativeError, WrongBaseError: its base model is not to be had.
        """
        if key.kind == "base":
            return self._base(key.name)
        manifest, folder = self._adapter(key.name)
        base = self._base(manifest["base"]["name"])
        if base.writer.sha256 != manifest["base"]["sha256"]:
            raise WrongBaseError(
                f"the adapter was trained on {manifest['base']['name']!r} with other weights than those that are here"
            )
        writer = adapted(base.writer, read_low_rank(folder), manifest["reading"])
        shared = base.writer.bytes > MERGED_BYTES
        loaded = LoadedWriter(
            writer if shared else _alone(writer), manifest["digest"], base if shared else None
        )
        if shared:
            base.sharers.add(loaded)
        log.info("generative adapter loaded", digest=key.name, mebibytes=round(loaded.size / 2**20, 1))
        return loaded

    def _base(self, name: str) -> LoadedWriter:
        with self._lock:
            found = self._bases.get(name)
            if found is None:
                with TRANSFORMERS:
                    found = LoadedWriter(load_writer(self._locate(name), name, self._device, self._dtype))
                self._bases[name] = found
            return found

    def _adapter(self, digest: str) -> tuple[dict[str, Any], Path]:
        folder = unpacked(digest, self._blobs, self._cache)
        manifest = verify(folder)
        if manifest["task"] not in ("causal", "summarize"):
            raise WrongTaskError(f"this adapter is made to {manifest['task']}, not to write text")
        return manifest, folder


def _alone(writer: Writer) -> Writer:
    """A merged model counts all of its weights: its base need not stay."""
    return replace(writer, own_bytes=writer.bytes)
