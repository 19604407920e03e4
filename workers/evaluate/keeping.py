"""Files in an evaluation's work folder that its checkpoint speaks of: there whole or not at all, also after a power cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.blobs import sync_path


@contextmanager
def kept(path: Path) -> Iterator[Path]:
    """A temporary name to write the file under; it has its own once the block ends well (fsync, rename)."""
    temporary = path.with_suffix(".partial")
    yield temporary
    sync_path(temporary)
    temporary.replace(path)
    sync_path(path.parent)
