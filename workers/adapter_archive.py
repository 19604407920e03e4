"""The tar that an adapter is stored as: unpacked safely into a cache by digest. Needs no torch."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from app.blobs import BlobStore
from models.adapters.folder import AdapterInvalidError

LARGEST_ADAPTER = 8 << 30
"""Bytes that an unpacked adapter may take."""


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


def extract(file: IO[bytes], folder: Path) -> None:
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
