"""From a blob digest to an adapter in memory: fetch, unpack safely, verify, load onto the one shared base model."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from app.blobs import BlobStore
from models.adapters.folder import AdapterInvalidError, verify
from models.adapters.load import load_adapter
from models.encoder.load import Encoder
from workers.inference.adapter_reader import AdapterReader, adapter_reader

log = structlog.get_logger()

LARGEST_ADAPTER = 8 << 30
"""Bytes that an unpacked adapter may take."""


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


def unpacked(digest: str, blobs: BlobStore, cache: Path) -> Path:
    """A folder with the content of an adapter's tar, whole or not at all; kept for the next start."""
    folder = cache / digest
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        with blobs.open(digest) as file:
            extract(file, temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def extract(file, folder: Path) -> None:  # type: ignore[no-untyped-def]  # any binary file
    """Unpack a tar of plain files and folders into `folder`; AdapterInvalidError for links, devices, paths that lead out, or too much."""
    try:
        with tarfile.open(fileobj=file, mode="r:*") as archive:
            members = archive.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()):
                    raise AdapterInvalidError(
                        f"{member.name} in the adapter's archive is neither a file nor a folder"
                    )
            if sum(member.size for member in members) > LARGEST_ADAPTER:
                raise AdapterInvalidError(f"the adapter's archive holds more than {LARGEST_ADAPTER:,} bytes")
            archive.extractall(folder, members, filter="data")
    except tarfile.TarError as error:
        raise AdapterInvalidError(f"the adapter's archive cannot be read: {error}") from error
