"""Sentence embeddings of a run's texts: taken over from an earlier run where the text is the same, kept between attempts."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from app.corpora.snapshots import read_snapshot
from app.db.session import reading
from workers.job_context import JobContext
from workers.relabel.frozen import Run

Embeddings = NDArray[np.float16]

_EARLIER = """
    SELECT r.embeddings_blob, r.texts_blob FROM relabel_runs r JOIN adapters a ON a.id = r.adapter_id
    WHERE r.corpus_id = :corpus AND r.id <> :run AND r.embeddings_blob IS NOT NULL
        AND a.manifest->'base'->>'sha256' = :base
    ORDER BY r.finished_at DESC NULLS LAST LIMIT 1
"""


class EmbeddingStore:
    """float16 (texts, dimensions) in a file of the work folder; a NaN row is one that is missing."""

    def __init__(self, job: JobContext, run: Run) -> None:
        self._job = job
        self._run = run
        self._path = job.work_dir / f"embeddings-{run.id}.npy"
        self._rows: Embeddings | None = self._open()
        if self._rows is None:
            self._take_over()

    def missing(self, rows: Sequence[int] | NDArray[np.int64] | slice) -> bool:
        """Whether any of these texts lacks its embedding."""
        return self._rows is None or bool(np.isnan(self._rows[rows, 0]).any())

    def missing_rows(self) -> NDArray[np.int64]:
        """int64: texts that lack theirs."""
        if self._rows is None:
            return np.arange(len(self._run.texts.text_ids))
        return np.flatnonzero(np.isnan(self._rows[:, 0]))

    def put(self, rows: Sequence[int] | NDArray[np.int64] | slice, values: Embeddings) -> None:
        """Keep the embeddings of some texts."""
        if self._rows is None:
            self._rows = self._create(values.shape[1])
        self._rows[rows] = values

    def flush(self) -> None:
        """Have everything on disk, before a watermark says so."""
        if isinstance(self._rows, np.memmap):
            self._rows.flush()

    @property
    def all(self) -> Embeddings | None:
        """All of them; None when there is none."""
        return self._rows

    def to_bytes(self) -> bytes:
        """As .npy."""
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(self._rows), allow_pickle=False)
        return buffer.getvalue()

    def _open(self) -> Embeddings | None:
        if not self._path.exists():
            return None
        kept: Embeddings = np.lib.format.open_memmap(self._path, mode="r+")
        return kept if len(kept) == len(self._run.texts.text_ids) else None

    def _create(self, dimensions: int) -> Embeddings:
        temporary = self._path.with_suffix(".partial.npy")
        shape = (len(self._run.texts.text_ids), dimensions)
        fresh = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
        fresh[:] = np.nan
        fresh.flush()
        temporary.replace(self._path)
        created: Embeddings = np.lib.format.open_memmap(self._path, mode="r+")
        return created

    def _take_over(self) -> None:
        parameters = {
            "corpus": self._run.corpus_id,
            "run": self._run.id,
            "base": self._run.adapter.base_sha256,
        }
        with reading() as session:
            earlier = session.execute(text(_EARLIER), parameters).first()
        if earlier is None:
            return
        known = read_snapshot(self._job.blobs.path(earlier.texts_blob)).text_version_ids
        values: Embeddings = np.load(self._job.blobs.path(earlier.embeddings_blob), allow_pickle=False)
        order = np.argsort(known)
        wanted = self._run.texts.text_version_ids
        places = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
        same = np.flatnonzero(known[places] == wanted)
        if len(same):
            self.put(same, values[places[same]])
            self.flush()
