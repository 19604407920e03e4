"""What texts are chosen by: labels and frame, word counts, stored embeddings, doubts of the newest predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from app.blobs import BlobStore
from app.corpora.sample_queries import predicting_run, run_for
from app.corpora.sample_rules import USES_PREDICTIONS, Places
from app.corpora.sample_schemas import SampleRequest
from app.corpora.snapshots import Snapshot, read_snapshot
from app.db.session import AnySession, reading
from app.db.tables import LabelSnapshot, Prediction, RelabelRun
from app.relabelling.rules import common_scheme
from models.data.sampling import Rows
from models.sampling.clusters import Clusters, count_words, fit_clusters
from models.sampling.uncertainty import uncertainty
from models.scheme import Scheme
from workers.relabel.contents import batches

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Doubts:
    """How unsure a relabel run is of each text of the snapshot."""

    run_id: str
    scores: NDArray[np.float64]
    """float64 (texts), 0 … 1; NaN without a prediction of the present version."""
    held_out: NDArray[np.bool_]
    """bool (texts): predicted by models that had not seen the text."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool (texts): has a prediction."""
        return np.isfinite(self.scores)


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a strategy needs."""

    corpus_id: str
    option_keys: Sequence[str]
    texts: Snapshot
    places: Places
    doubts: Doubts | None
    sensitive: bool
    blobs: BlobStore

    @property
    def frame(self) -> Rows:
        """int64: rows of the snapshot that may be drawn."""
        return np.flatnonzero(self.places.frame).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Words:
    """Clusters and directions of some rows of the snapshot."""

    rows: Rows
    """int64: the rows that were read, rising."""
    vocabulary: tuple[str, ...]
    clusters: Clusters
    characters: NDArray[np.int64]
    """int64 (rows,)."""
    fitted: int

    def at(self, wanted: Rows) -> NDArray[np.int64]:
        """Places of rows of the snapshot among those that were read."""
        return np.searchsorted(self.rows, wanted)


def doubts(
    session: AnySession, corpus_id: str, asked: SampleRequest, scheme: Scheme, texts: Snapshot
) -> Doubts | None:
    """Doubts where the strategy goes by them, else None; Conflict before the first relabel run."""
    if asked.strategy not in USES_PREDICTIONS:
        return None
    run = predicting_run(session, corpus_id, asked.run)
    query = select(Prediction.text_version_id, Prediction.probabilities, Prediction.held_out)
    rows = session.execute(query.where(Prediction.run_id == run.id, Prediction.models > 0)).all()
    spoken = common_scheme(scheme, run.option_keys)
    columns = [run.option_keys.index(key) for key in spoken.option_keys]
    place = {int(version): row for row, version in enumerate(texts.text_version_ids)}
    probabilities = np.full((len(place), len(columns)), np.nan, dtype=np.float32)
    held_out = np.zeros(len(place), dtype=np.bool_)
    for version, found, held in rows:
        row = place.get(version)
        if row is not None:
            probabilities[row] = np.asarray(found, dtype=np.float32)[columns]
            held_out[row] = held
    return Doubts(run.id, uncertainty(probabilities, spoken, asked.measure), held_out)


def read_words(material: Material, asked: SampleRequest, beside: Rows) -> Words:
    """Clusters and directions of the frame and of `beside`, fitted on texts of no held-out split."""
    fit = np.flatnonzero(material.places.fit)
    rows = np.unique(np.concatenate([material.frame, fit, beside])).astype(np.int64)
    contents = [text for batch in batches(material.texts.text_version_ids[rows]) for text in batch]
    vocabulary, counts = count_words(contents)
    clusters = fit_clusters(
        counts,
        np.searchsorted(rows, fit).astype(np.int64),
        None if asked.clusters == "auto" else asked.clusters,
        asked.seed,
    )
    lengths = np.array([len(text) for text in contents], dtype=np.int64)
    return Words(rows, vocabulary, clusters, lengths, len(fit))


def stored_embeddings(material: Material, asked: SampleRequest, rows: Rows) -> tuple[Points, str] | None:
    """Embeddings of these rows by a relabel run, float32 (rows, dimensions) of length 1, and the run's id; None where any lacks one."""
    with reading() as session:
        run: RelabelRun | None = run_for(session, material.corpus_id, asked.run)
        if run is None or run.embeddings_blob is None:
            return None
        frozen = session.get_one(LabelSnapshot, run.snapshot_id)
        known = read_snapshot(material.blobs.path(frozen.blob_digest)).text_version_ids
        values = np.load(material.blobs.path(run.embeddings_blob), allow_pickle=False, mmap_mode="r")
    wanted = material.texts.text_version_ids[rows]
    order = np.argsort(known)
    found = order[np.minimum(np.searchsorted(known, wanted, sorter=order), len(known) - 1)]
    if (known[found] != wanted).any():
        return None
    points = np.asarray(values[found], dtype=np.float32)
    if not np.isfinite(points).all():
        return None
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12), run.id
