"""What the files of a base model's folder say of themselves: read from their headers, so that nothing is loaded. Needs no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

_UNREAD = ("decoder.", "lm_head.", "cls.", "head.", "classifier.", "vocab_")
_LONGEST_HEADER = 100_000_000
"""Bytes; what the safetensors library reads at most."""
_INDEX = "model.safetensors.index.json"


class DamagedFileError(ValueError):
    """A file of a model's folder that cannot be what it is named; the text names it and says why."""


def parameter_count(folder: Path) -> int:
    """Weights of a model folder that reading texts takes: without a decoder beside an encoder, and without pre-training's heads.

    Raises DamagedFileError.
    """
    total = 0
    for file in folder.glob("*.safetensors"):
        total += sum(
            math.prod(entry["shape"])
            for name, entry in _header(file).items()
            if name != "__metadata__" and not name.startswith(_UNREAD)
        )
    return total


def check_files(folder: Path) -> None:
    """Raise DamagedFileError for a configuration that is none, and for weights that are cut off or missing, as a broken download leaves them."""
    _object(folder / "config.json")
    for file in sorted(folder.glob("*.safetensors")):
        _header(file)
    index = folder / _INDEX
    if index.is_file():
        named = set(dict(_object(index).get("weight_map") or {}).values())
        absent = sorted(name for name in named if not (folder / str(name)).is_file())
        if absent:
            raise DamagedFileError(f"{absent[0]} is missing, which {_INDEX} names")


def _header(file: Path) -> dict[str, Any]:
    """The tensors that a safetensors file announces, once its length is what they take."""
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if length <= min(size, _LONGEST_HEADER) else None
        if not isinstance(header, dict):
            raise DamagedFileError(f"{file.name} is no safetensors file")
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DamagedFileError(f"{file.name} is no safetensors file") from error
    announced = 8 + length + max(ends, default=0)
    if announced != size:
        raise DamagedFileError(f"{file.name} has {size:,} bytes and announces {announced:,}: copy it again")
    return header


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DamagedFileError(f"{path.name} is no JSON object")
    return found
