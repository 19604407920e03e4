"""Content-addressed blobs in a folder or an object store: complete or absent, addressed by sha256."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob: hex sha256 and size in bytes."""

    digest: str
    size: int


def sync_path(path: Path) -> None:
    """fsync a file or a folder: what was written there, or renamed into it, survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class BlobStore:
    """Blobs under `root`. Writing: temporary name, fsync, rename; the same content is stored once."""

    def __init__(self, root: str) -> None:
        self._remote = "://" in root
        self._root = root.rstrip("/")
        self._cache = Path(tempfile.gettempdir()) / "remand-blobs" if self._remote else Path(root)

    def put(self, chunks: Iterable[bytes]) -> Blob:
        """Store the concatenation of `chunks`; OSError when the disk is full or read-only, nothing is left behind then."""
        self._cache.mkdir(parents=True, exist_ok=True)
        hasher, size = hashlib.sha256(), 0
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=self._cache)
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    hasher.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            blob = Blob(hasher.hexdigest(), size)
            self._publish(Path(name), blob.digest)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return blob

    def put_bytes(self, content: bytes) -> Blob:
        """Store one piece of content."""
        return self.put((content,))

    def put_file(self, path: Path) -> Blob:
        """Store a copy of a file."""
        with path.open("rb") as file:
            return self.put(iter(lambda: file.read(_CHUNK), b""))

    def path(self, digest: str) -> Path:
        """A local file with the blob's content (fetched into a cache from an object store); FileNotFoundError when absent."""
        local = self._local(digest)
        if not local.exists():
            if not self._remote:
                raise FileNotFoundError(f"blob {digest} is not in the store")
            self._fetch(digest, local)
        return local

    @contextmanager
    def open(self, digest: str) -> Iterator[IO[bytes]]:
        """The blob for reading."""
        with self.path(digest).open("rb") as file:
            yield file

    def exists(self, digest: str) -> bool:
        """Whether the store has it."""
        if self._remote:
            filesystem, base = self._filesystem()
            return bool(filesystem.exists(f"{base}/{digest[:2]}/{digest}"))
        return self._local(digest).exists()

    def delete(self, digest: str) -> None:
        """Remove it if it is there."""
        self._local(digest).unlink(missing_ok=True)
        if self._remote and self.exists(digest):
            filesystem, base = self._filesystem()
            filesystem.rm(f"{base}/{digest[:2]}/{digest}")

    def remove_strays(self, older_than_seconds: float) -> int:
        """Remove local files that were being written and have not grown for so long: a kill left them. Gives their number."""
        latest, removed = time.time() - older_than_seconds, 0
        for path in (*self._cache.glob(".incoming-*"), *self._cache.glob("??/.incoming-*")):
            with suppress(FileNotFoundError):  # somebody else was faster
                if path.stat().st_mtime < latest:
                    path.unlink()
                    removed += 1
        return removed

    def _local(self, digest: str) -> Path:
        return self._cache / digest[:2] / digest

    def _publish(self, temporary: Path, digest: str) -> None:
        final = self._local(digest)
        final.parent.mkdir(exist_ok=True)
        if self._remote:
            filesystem, base = self._filesystem()
            if not filesystem.exists(f"{base}/{digest[:2]}/{digest}"):
                filesystem.put_file(str(temporary), f"{base}/{digest[:2]}/{digest}")
        temporary.rename(final)
        sync_path(final.parent)

    def _fetch(self, digest: str, local: Path) -> None:
        filesystem, base = self._filesystem()
        local.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".incoming-", dir=local.parent)
        with (
            os.fdopen(handle, "wb") as file,
            filesystem.open(f"{base}/{digest[:2]}/{digest}", "rb") as source,
        ):
            shutil.copyfileobj(source, file, _CHUNK)
        Path(name).rename(local)

    def _filesystem(self) -> tuple[Any, str]:
        import fsspec

        filesystem, base = fsspec.core.url_to_fs(self._root)
        return filesystem, base
