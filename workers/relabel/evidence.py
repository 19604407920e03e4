"""What a run keeps so that its labels can be judged again without any text: similar texts and near duplicates."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from models.audit.findings import content_codes, near_contents
from models.audit.neighbours import Similar, similar_texts
from models.data.near_duplicates import Signatures
from workers.relabel.frozen import Run


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows are the run's texts. None of it holds a text or a given value."""

    near: NDArray[np.int64]
    """int64 (pairs, 2), from `near_contents`."""
    similar: Similar | None
    """None where there are no embeddings."""

    def to_bytes(self) -> bytes:
        """As .npz."""
        arrays: dict[str, NDArray[np.generic]] = {"near": self.near.astype(np.int32)}
        if self.similar is not None:
            arrays["rows"] = self.similar.rows.astype(np.int32)
            arrays["weights"] = self.similar.weights.astype(np.float16)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub takes the names for options
        return buffer.getvalue()

    @staticmethod
    def read(path: Path) -> Kept:
        """Inverse of `to_bytes`."""
        with np.load(path, allow_pickle=False) as arrays:
            similar = None
            if "rows" in arrays:
                similar = Similar(arrays["rows"].astype(np.int64), arrays["weights"].astype(np.float32))
            return Kept(arrays["near"].astype(np.int64), similar)


def gather(run: Run, embeddings: NDArray[np.floating] | None, signed: Signatures) -> Kept:
    """What the run's texts say of each other. embeddings: float (texts, dim), NaN rows where there is none."""
    near = near_contents(content_codes(run.texts.sha256), signed)
    if embeddings is None:
        return Kept(near, None)
    values = np.nan_to_num(np.asarray(embeddings))
    with threadpool_limits(1, user_api="openmp"):
        similar = similar_texts(values, run.texts.values, run.texts.groups, signed)
    # Half precision, as it is read back: judging again with nothing changed gives the same scores.
    weights = similar.weights.astype(np.float16).astype(np.float32)
    return Kept(near, Similar(similar.rows, weights))
