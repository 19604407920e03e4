"""Adapters by the digest of their tar, unpacked into a cache: whole or not at all. Needs no torch."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from app.adapters.archive import unpack
from app.blobs import BlobStore
from app.http.problems import Problem
from models.adapters.folder import AdapterInvalidError

LARGEST_ADAPTER = 8 << 30
"""Bytes that an unpacked adapter may take."""


def unpacked(digest: str, blobs: BlobStore, cache: Path) -> Path:
    """A folder with the content of an adapter's tar, kept for the next time.

    Raises:
        FileNotFoundError: the store has no such blob.
        AdapterInvalidError: it is no archive of plain adapter files.
    """
    folder = cache / digest
    if folder.is_dir():
        with suppress(OSError):  # another user's folder, read-only: it is kept for less long
            os.utime(folder)  # its last use, which is what it is kept by
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=cache))
    try:
        root = unpack(blobs.path(digest), temporary / "adapter", LARGEST_ADAPTER)
        try:
            root.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
    except Problem as problem:
        raise AdapterInvalidError(problem.detail) from problem
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
