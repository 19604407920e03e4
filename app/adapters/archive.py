"""Adapter folders as archives: packed the same every time, unpacked without trust."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from app.http.problems import Invalid, TooLarge

SUFFIXES = frozenset({".json", ".safetensors", ".npz", ".arrow", ".md", ".txt"})
"""Files an adapter folder may hold: none of them can carry code."""
MOST_FILES = 2000
_CHUNK = 1 << 20


def pack(folder: Path, target: Path) -> None:
    """Write an uncompressed tar of the folder's files; the same content gives the same bytes."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as content:
                    archive.addfile(entry, content)


def unpack(upload: Path, target: Path, most_bytes: int) -> Path:
    """Unpack a tar or zip below `target` and give the folder that holds manifest.json.

    Raises Invalid for anything but plain files of known kinds below the archive's root, TooLarge when it grows over `most_bytes`.
    """
    target.mkdir(parents=True)
    # tar first: a zip is known by its end, and a tar that ends with an .npz (a zip) has one as well
    if tarfile.is_tarfile(upload):
        entries = _tar_entries(upload)
    elif zipfile.is_zipfile(upload):
        entries = _zip_entries(upload)
    else:
        raise _bad(
            "The file is neither a tar nor a zip archive. Pack an adapter folder, or send what GET /adapters/…/download gave."
        )
    _write(entries, target, most_bytes)
    return _root(target)


def _write(entries: Iterator[tuple[str, IO[bytes]]], target: Path, most_bytes: int) -> None:
    seen: set[PurePosixPath] = set()
    left = most_bytes
    try:
        for name, content in entries:
            path = _safe(name)
            if path in seen:
                raise _bad(f"The archive holds {name!r} twice.")
            seen.add(path)
            if len(seen) > MOST_FILES:
                raise _bad(f"The archive holds more than {MOST_FILES} files.")
            left -= _copy(content, target / path, left, most_bytes)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        NotImplementedError,
        OSError,
        RuntimeError,
    ) as error:
        # the archive's own faults; a full disk is the server's
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _bad("The archive is damaged or encrypted: pack it again.") from None


def _copy(content: IO[bytes], path: Path, left: int, most_bytes: int) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with content, path.open("xb") as file:
        while chunk := content.read(_CHUNK):
            written += len(chunk)
            if written > left:
                raise TooLarge(
                    f"Unpacked, the archive is larger than the {most_bytes:,} bytes allowed.", field="file"
                )
            file.write(chunk)
    return written


def _tar_entries(upload: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(upload, "r:*") as archive:
        for entry in archive:
            if entry.isdir():
                continue
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None:
                raise _bad(f"{entry.name!r} is a link or a device; an adapter holds plain files only.")
            yield entry.name, content


def _zip_entries(upload: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(upload) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise _bad(f"{entry.filename!r} is a link or a device; an adapter holds plain files only.")
            yield entry.filename, archive.open(entry)


def _safe(name: str) -> PurePosixPath:
    """The path of an entry; Invalid when it leaves the folder or is of a kind that an adapter does not hold."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\x00" in name or not path.parts:
        raise _bad(f"The path {name!r} leads out of the archive.")
    if path.suffix not in SUFFIXES:
        raise _bad(
            f"{name!r} is no file of an adapter: weights must be safetensors, other files {', '.join(sorted(SUFFIXES))}."
        )
    return path


def _root(target: Path) -> Path:
    """The folder with the manifest: the top, or the only folder in it."""
    inside = list(target.iterdir())
    for folder in (target, *(path for path in inside if len(inside) == 1 and path.is_dir())):
        if (folder / "manifest.json").is_file():
            return folder
    raise _bad(
        "The archive holds no manifest.json: it is no adapter folder of Remand. A bare PEFT folder must be trained here again."
    )


def _bad(detail: str) -> Invalid:
    return Invalid(detail, field="file", slug="adapter-invalid")


def discard(folder: Path) -> None:
    """Remove what was unpacked."""
    shutil.rmtree(folder, ignore_errors=True)
