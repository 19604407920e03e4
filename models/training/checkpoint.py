"""Checkpoints: complete or absent. One file per fit in progress, one folder per finished member."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from models.adapters.folder import sync_folder


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Replace a checkpoint file by a new one in a single step."""
    _replace(path, lambda opened: torch.save(state, opened))


def save_json(path: Path, document: dict[str, Any]) -> None:
    """The same for a document: after a power cut it is the old one or the new one, never an empty file."""
    _replace(path, lambda opened: opened.write(json.dumps(document).encode()))


def _replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("wb") as opened:
            write(opened)
            opened.flush()
            os.fsync(opened.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)  # room for whoever needs it: the disk may be full
        raise
    temporary.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """A checkpoint's tensors and plain values, None where there is no checkpoint."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def save_folder(path: Path, write: Callable[[Path], None]) -> None:
    """Make a folder that is there whole or not at all; `write` fills a temporary one."""
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        write(temporary)
        sync_folder(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    temporary.rename(path)
