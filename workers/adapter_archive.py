"""Adapters by the digest of their tar, unpacked into a cache: whole or not at all. Needs no torch."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.adapters.archive import pack, unpack
from app.blobs import Blob, BlobStore
from app.http.problems import Problem
from app.settings import get_settings
from models.adapters.folder import AdapterInvalidError, read_manifest
from workers.job_context import JobContext, JobFailed

LARGEST_ADAPTER = 8 << 30
"""Bytes that an unpacked adapter may take."""


def packed(context: JobContext, folder: Path) -> tuple[dict[str, Any], dict[str, Any], Blob]:
    """A finished adapter folder put into the blob store as a tar: its manifest, its report, its blob."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    archive = context.work_dir / "adapter.tar"
    pack(folder, archive)
    return manifest, report, context.blobs.put_file(archive)


def adapter_folder(context: JobContext, digest: str) -> tuple[Path, dict[str, Any]]:
    """The unpacked folder and the manifest of an adapter that a job reads with.

    Raises:
        JobFailed: its file is gone, or it is no adapter.
    """
    try:
        folder = unpacked(digest, context.blobs, get_settings().work_root / "adapters")
        return folder, read_manifest(folder)
    except FileNotFoundError as error:
        raise JobFailed(
            "adapter-missing", "The adapter's file is not in the blob store: import it again."
        ) from error
    except AdapterInvalidError as error:
        raise JobFailed(error.code, str(error)) from error


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
