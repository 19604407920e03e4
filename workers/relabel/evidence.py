"""What a run keeps so that its labels can be judged again without any text: similar texts, near duplicates, the probe's logits."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.corpora.codebook import Codebook
from models.audit.findings import content_codes, near_contents
from models.audit.neighbours import Similar, similar_texts
from models.audit.probe import probe_logits
from models.data.near_duplicates import Signatures
from workers.relabel.frozen import Run


@dataclass(frozen=True, slots=True)
class Kept:
    """Rows are the run's texts. None of it holds a text, or a given value beyond what the probe learnt from others'."""

    near: NDArray[np.int64]
    """int64 (pairs, 2), from `near_contents`."""
    similar: Similar | None
    """None where there are no embeddings."""
    probe: NDArray[np.float32] | None
    """Held-out logits, float32 (texts, options of the run), NaN where there are none."""

    def to_bytes(self) -> bytes:
        """As .npz; half precision is more than the scores can tell."""
        arrays: dict[str, NDArray[np.generic]] = {"near": self.near.astype(np.int32)}
        if self.similar is not None:
            arrays["rows"] = self.similar.rows.astype(np.int32)
            arrays["weights"] = self.similar.weights.astype(np.float16)
        if self.probe is not None:
            arrays["probe"] = self.probe.astype(np.float16)
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
            probe = arrays["probe"].astype(np.float32) if "probe" in arrays else None
            return Kept(arrays["near"].astype(np.int64), similar, probe)

    def rounded(self) -> Kept:
        """As it is read back, so that judging again with nothing changed gives the same scores."""
        return Kept(
            self.near,
            None
            if self.similar is None
            else Similar(self.similar.rows, self.similar.weights.astype(np.float16).astype(np.float32)),
            None if self.probe is None else self.probe.astype(np.float16).astype(np.float32),
        )


def gather(run: Run, codebook: Codebook, embeddings: NDArray[np.floating] | None, signed: Signatures) -> Kept:
    """What the run's texts say of each other; the probe learns from the run's own snapshot.

    embeddings: float (texts, dim), NaN rows where there is none.
    """
    near = near_contents(content_codes(run.texts.sha256), signed)
    if embeddings is None:
        return Kept(near, None, None)
    values = np.nan_to_num(np.asarray(embeddings))
    labels = run.texts.values
    with threadpool_limits(1, user_api="openmp"):
        similar = similar_texts(values, labels, run.texts.groups, signed)
    with threadpool_limits(
        1
    ):  # many small fits: threads of BLAS wait for each other longer than they compute
        learnt = probe_logits(values, labels, run.texts.groups, run.texts.sha256, signed)
    probe = np.full((len(labels), len(run.option_keys)), np.nan, dtype=np.float32)
    known = codebook.scheme.option_keys
    for place, key in enumerate(run.option_keys):
        if key in known and known.index(key) < labels.shape[1]:
            probe[:, place] = learnt[:, known.index(key)]
    unread = ~np.isfinite(np.asarray(embeddings)).all(axis=1)
    probe[unread] = np.nan
    return Kept(near, similar, probe).rounded()
