"""The adapter folder: manifest, digest over every file, verification, writing it whole or not at all. Needs no torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

FORMAT = 1
MANIFEST = "manifest.json"
CALIBRATION = "calibration.json"
ALONE = "alone"
"""Folder of a member's second reading: head.safetensors, wide.safetensors and calibration.json for texts without context."""
_CHUNK = 1 << 20


class AdapterInvalidError(ValueError):
    """A folder that is not a whole adapter: the text names the file at fault."""

    code = "adapter-invalid"


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of an adapter folder.

    Raises:
        AdapterInvalidError: no manifest, not JSON, or of another format.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterInvalidError(
            f"{Path(folder).name} is no adapter folder: it holds no {MANIFEST}"
        ) from error
    except ValueError as error:
        raise AdapterInvalidError(f"{MANIFEST} is not valid JSON: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise AdapterInvalidError(f"{MANIFEST} is not of format {FORMAT}, the one this version reads")
    return manifest


def verify(folder: Path | str) -> dict[str, Any]:
    """Check every file against the manifest and the manifest against its digest; returns the manifest.

    Raises:
        AdapterInvalidError: a file is missing, changed or not in the manifest, or the digest differs.
    """
    root = Path(folder)
    manifest = read_manifest(root)
    listed: dict[str, str] = manifest.get("files", {})
    actual = file_digests(root)
    for name in sorted(listed.keys() | actual.keys()):
        if name not in actual:
            raise AdapterInvalidError(f"{name} is missing from the adapter folder")
        if name not in listed:
            raise AdapterInvalidError(f"{name} is not in the manifest; remove it or train again")
        if listed[name] != actual[name]:
            raise AdapterInvalidError(f"{name} was changed since the adapter was made")
    if manifest.get("digest") != manifest_digest(manifest):
        raise AdapterInvalidError(f"{MANIFEST} was changed since the adapter was made: its digest differs")
    return manifest


def finish(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest of a folder whose other files are complete; adds format, files and digest and returns it."""
    for path in folder.rglob("*"):
        # safetensors writes files that only their owner may read; a server may run as somebody else.
        path.chmod(0o755 if path.is_dir() else 0o644)
    document: dict[str, Any] = {"format": FORMAT, **manifest, "files": file_digests(folder)}
    document["digest"] = manifest_digest(document)
    (folder / MANIFEST).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    return document


def publish(source: Path, target: Path) -> None:
    """Copy a complete folder to `target` so that it is there whole or not at all: temporary name, fsync, rename.

    Raises:
        FileExistsError: `target` exists and is not empty.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty; name another output folder or empty it")
        target.rmdir()
    temporary = target.with_name(f".{target.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    sync_folder(temporary)
    temporary.rename(target)
    _sync(target.parent)


def sync_folder(folder: Path) -> None:
    """fsync every file and folder below, and the folder itself."""
    for path in sorted(folder.rglob("*")):
        _sync(path)
    _sync(folder)


def file_digests(folder: Path) -> dict[str, str]:
    """sha256 (hex) of every file below but the manifest, by relative path, sorted."""
    digests: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise AdapterInvalidError(f"{name} is a link; an adapter folder holds plain files only")
        if path.is_file() and name != MANIFEST:
            digests[name] = _file_digest(path)
    return digests


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """sha256 (hex) over the manifest without its digest, in canonical JSON."""
    document = {key: value for key, value in manifest.items() if key != "digest"}
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(canonical.encode()).hexdigest()


def published(output: Path, digest: str) -> dict[str, Any] | None:
    """The manifest of the adapter that an earlier call on the same input has published, None where there is none.

    Raises:
        FileExistsError: the folder holds anything else.
    """
    if not output.exists() or not any(output.iterdir()):
        return None
    if (output / MANIFEST).is_file():
        manifest = verify(output)
        if manifest.get("input_digest") == digest:
            return manifest
    raise FileExistsError(f"{output} is not empty; name another output folder or empty it")


def _file_digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
