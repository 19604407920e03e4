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
CALIBRATION = "calibration.json"
ALONE = "alone/"
"""Where the calibration of texts that were read without context lies; docs/architecture.md has the folder."""


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
            (int(fold), place == ALONE): json.loads(_content(opened, names[path]))
            for fold in frame["fold"].unique().to_list()
            for place in ("", ALONE)
            if (path := f"folds/{fold}/{place}{CALIBRATION}") in names
        }
    folds = frame["fold"].to_numpy().astype(np.int32)
    flat = frame["probabilities"].explode().to_numpy().astype(np.float32)
    probabilities = flat.reshape(len(frame), len(option_keys))
    # Adapters made before texts had a reading of their own without context do not say of any that it was read so.
    alone = frame["alone"].to_numpy() if "alone" in frame.columns else np.zeros(len(frame), dtype=np.bool_)
    decided = _decided(probabilities, folds, alone, calibrations)
    return HeldOut(frame["key"].to_list(), folds, probabilities, decided)


def _decided(
    probabilities: NDArray[np.float32],
    folds: NDArray[np.int32],
    alone: NDArray[np.bool_],
    calibrations: Mapping[tuple[int, bool], Mapping[str, Any]],
) -> Labels:
    """Each row at the thresholds of its fold's reading: int8 (rows, options); MISSING for a fold without calibration."""
    decisions = np.full(probabilities.shape, MISSING, dtype=np.int8)
    for (fold, lone), document in calibrations.items():
        inside = (folds == fold) & (alone == lone)
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
