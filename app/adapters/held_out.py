"""The held-out probabilities that a registered adapter carries, read out of its tar without unpacking the rest."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.scheme import MISSING, NO, YES, Labels

HELD_OUT = "held_out.arrow"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One row per text that was trained on, read by the fold model that had not seen it."""

    keys: list[str]
    """External ids."""
    folds: NDArray[np.int32]
    """int32 (rows)."""
    probabilities: NDArray[np.float32]
    """float32 (rows, options), calibrated by the other folds; NaN where there is none."""
    decisions: Labels
    """int8 (rows, options), at the other folds' thresholds; MISSING where there is no probability."""


def read_held_out(archive: Path, option_keys: list[str]) -> HeldOut | None:
    """Held-out probabilities of an adapter's tar; None where it carries none (another task, or made elsewhere)."""
    with tarfile.open(archive, "r:") as opened:
        names = {name.removeprefix("./"): name for name in opened.getnames()}
        if HELD_OUT not in names:
            return None
        frame = pl.read_ipc(io.BytesIO(_content(opened, names[HELD_OUT])))
        calibrations = {
            int(fold): json.loads(_content(opened, names[path]))
            for fold in frame["fold"].unique().to_list()
            if (path := f"folds/{fold}/calibration.json") in names
        }
    folds = frame["fold"].to_numpy().astype(np.int32)
    flat = frame["probabilities"].explode().to_numpy().astype(np.float32)
    probabilities = flat.reshape(len(frame), len(option_keys))
    return HeldOut(frame["key"].to_list(), folds, probabilities, _decided(probabilities, folds, calibrations))


def _decided(
    probabilities: NDArray[np.float32],
    folds: NDArray[np.int32],
    calibrations: Mapping[int, Mapping[str, Any]],
) -> Labels:
    """Each row at its fold's thresholds: int8 (rows, options); MISSING for a fold without calibration."""
    decisions = np.full(probabilities.shape, MISSING, dtype=np.int8)
    for fold, document in calibrations.items():
        inside = folds == fold
        part = probabilities[inside]
        thresholds = np.array([option["threshold"] for option in document["options"]], dtype=np.float32)
        said = np.where(part >= thresholds, YES, NO).astype(np.int8)
        for columns in document.get("softmax", ()):
            # NaN rows are put back below
            best = np.argmax(np.nan_to_num(part[:, columns], nan=-1.0), axis=1)
            said[:, columns] = best[:, None] == np.arange(len(columns))
        said[np.isnan(part)] = MISSING
        decisions[inside] = said
    return decisions


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    opened = archive.extractfile(name)
    assert opened is not None, name
    with opened:
        return opened.read()
