"""Taking in an adapter archive: unpacked without trust, verified against its manifest, stored as one canonical tar."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from app.adapters.archive import pack, unpack
from app.adapters.rules import check_manifest
from app.blobs import Blob, BlobStore
from app.http.problems import Invalid, TooLarge
from models.adapters.folder import AdapterInvalidError, verify

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A verified adapter in the blob store."""

    manifest: dict[str, Any]
    report: dict[str, Any]
    blob: Blob


def store_upload(
    upload: IO[bytes], blobs: BlobStore, most_bytes: int, fits: Callable[[dict[str, Any]], None]
) -> Stored:
    """Verify an uploaded archive and store it; Invalid or TooLarge says what is wrong, and nothing is left behind then.

    fits: raises for a manifest that does not fit where the adapter shall serve.
    """
    with tempfile.TemporaryDirectory(prefix="remand-adapter-") as name:
        place = Path(name)
        _save(upload, place / "upload", most_bytes)
        folder = unpack(place / "upload", place / "folder", most_bytes)
        try:
            manifest = verify(folder)
        except AdapterInvalidError as error:
            raise Invalid(str(error), field="file", slug="adapter-invalid") from None
        check_manifest(manifest)
        fits(manifest)
        report = _report(folder / "report.json")
        pack(folder, place / "adapter.tar")
        return Stored(manifest, report, blobs.put_file(place / "adapter.tar"))


def _save(upload: IO[bytes], path: Path, most_bytes: int) -> None:
    left = most_bytes
    with path.open("xb") as file:
        while chunk := upload.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise TooLarge(f"The upload is larger than the {most_bytes:,} bytes allowed.", field="file")
            file.write(chunk)


def _report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise Invalid(
            "report.json in the archive is not valid JSON.", field="file", slug="adapter-invalid"
        ) from None
    return report if isinstance(report, dict) else {}
