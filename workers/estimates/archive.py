"""The replication package: a zip whose bytes depend on its contents alone."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.estimates.words import citation, methods_file, readme

SCRIPTS = ("reproduce.py", "reproduce.R", "dsl.R", "ppi.R")
_FOLDER = Path(__file__).parent / "replication"
_WHEN = (1980, 1, 1, 0, 0, 0)


def package_of(document: Mapping[str, Any], texts: bytes, analyses: bytes) -> bytes:
    """All files with their checksums; the same contents give the same bytes."""
    files = {
        "README.md": readme(document).encode(),
        "METHODS.md": methods_file(document).encode(),
        "CITATION.cff": citation(document).encode(),
        "estimates.json": (
            json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        ).encode(),
        "texts.csv": texts,
        "analyses.csv": analyses,
        **{name: (_FOLDER / name).read_bytes() for name in SCRIPTS},
    }
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return _zipped(files | {"SHA256SUMS": sums.encode()})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"replication/{name}", _WHEN)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
