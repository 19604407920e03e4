"""The end of a run: score, rank, and write ranking, suspicions and disagreements in one fenced transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from threadpoolctl import threadpool_limits

from app.blobs import Blob
from app.corpora.codebook import Codebook, load_codebook
from app.corpora.queries import register_blob
from app.db.session import WriteSession, reading
from app.db.tables import Prediction, Ranking, RelabelRun
from app.ids import new_id
from app.relabelling.queries import models_used
from app.relabelling.rules import common_scheme
from app.review.queries import settled_cells
from models.audit.suspicion import Evidence, Suspicion, flagged, score
from models.data.near_duplicates import Signatures
from models.scheme import Scheme
from workers.job_context import JobContext
from workers.neighbours import Surroundings
from workers.relabel.copying import copy_rows
from workers.relabel.embeddings import EmbeddingStore
from workers.relabel.frozen import Run
from workers.relabel.listing import Reading, listed, settled_mask


@dataclass(frozen=True, slots=True)
class Scored:
    """A run's scores, ready to be written."""

    codebook: Codebook
    reading: Reading
    suspicion: Suspicion
    scores: NDArray[np.float32]
    """float32 (texts, cells); NaN where not audited or settled."""
    flags: NDArray[np.bool_]
    """bool (texts, cells)."""
    settled: int
    """Cells left out because a review has settled them."""

    @property
    def audited_cells(self) -> int:
        """Cells with a score."""
        return int(np.isfinite(self.scores).sum())

    @property
    def flagged_cells(self) -> int:
        """Disagreements."""
        return int(self.flags.sum())


def score_run(
    run: Run, embeddings: EmbeddingStore, signed: Signatures, around: Surroundings | None = None
) -> Scored:
    """Suspicion of every cell that a held-out model has read and no review has settled.

    around: what stands around the texts, where the adapter reads it.
    """
    with reading() as session:
        codebook = load_codebook(session, run.corpus_id)
        settled = [(s.text_id, s.question, s.option) for s in settled_cells(session, run.corpus_id, codebook)]
    scheme = common_scheme(codebook.scheme, run.option_keys)
    probabilities, held_out = _predictions(run)
    columns = [run.option_keys.index(key) for key in scheme.option_keys]
    ours = probabilities[:, columns]
    labels = run.texts.values[:, [codebook.scheme.option_keys.index(key) for key in scheme.option_keys]]
    evidence = Evidence(
        probabilities=np.where(held_out[:, None], ours, np.nan).astype(np.float32),
        labels=labels,
        scheme=scheme,
        groups=run.texts.groups,
        order=run.texts.ordinals.tolist(),
        embeddings=None if embeddings.all is None else np.nan_to_num(np.asarray(embeddings.all)),
        signatures=signed,
    )
    with threadpool_limits(
        1, user_api="openmp"
    ):  # many small fits: a second thread costs more than it brings
        found = score(evidence)
    row_of = {int(number): row for row, number in enumerate(run.texts.text_ids)}
    mask = settled_mask(scheme.cells, row_of, settled, len(row_of))
    scores = np.where(mask, np.float32(np.nan), found.scores)
    return Scored(
        codebook=codebook,
        reading=Reading(scheme.cells, scheme.option_keys, ours, labels, _thresholds(run, scheme, around)),
        suspicion=found,
        scores=scores,
        flags=flagged(scores),
        settled=int((mask & np.isfinite(found.scores)).sum()),
    )


def write_ranking(
    job: JobContext, run: Run, scored: Scored, embeddings: Blob | None, seconds: dict[str, float]
) -> None:
    """Write everything that the run found and end the job, in one transaction: one ranking per run, or none."""

    def body(session: WriteSession) -> None:
        row = session.get_one(RelabelRun, run.id, with_for_update=True, populate_existing=True)
        ranking = _ranking_row(run, scored)
        session.add(ranking)
        if embeddings is not None:
            register_blob(session, job.blobs, embeddings, "application/x-npy", "embeddings")
            row.embeddings_blob = embeddings.digest
        row.finished_at = datetime.now(UTC)
        session.flush()
        copy_rows(
            session, "suspicions (ranking_id, text_version_id, suspicion)", ("text", "int8", "float4[]"),
            _suspicion_rows(ranking.id, run, scored),
        )  # fmt: skip
        copy_rows(session, _DISAGREEMENTS, _DISAGREEMENT_TYPES, _disagreement_rows(ranking.id, run, scored))
        job.succeed(session, result_of(session, row, ranking, scored, seconds))

    job.transaction(body)


def result_of(
    session: WriteSession, row: RelabelRun, ranking: Ranking, scored: Scored, seconds: dict[str, float]
) -> dict[str, Any]:
    """What the job reports: counts, texts per number of models, seconds per stage of this attempt."""
    return {
        "run": row.id,
        "ranking": ranking.id,
        "snapshot": row.snapshot_id,
        "adapter": row.adapter_id,
        "texts": row.text_count,
        "held_out_texts": row.text_count - row.not_audited,
        "not_audited_texts": row.not_audited,
        "texts_per_models": models_used(session, row.id),
        "audited_cells": scored.audited_cells,
        "settled_cells": scored.settled,
        "flagged_cells": scored.flagged_cells,
        "method": ranking.method,
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }


_DISAGREEMENTS = (
    "disagreements (ranking_id, position, text_id, text_version_id, question_id, option_id,"
    " human_value, model_value, probability, suspicion)"
)
_DISAGREEMENT_TYPES = ("text", "int4", "int8", "int8", "int8", "int8", "text", "text", "float4", "float4")


def _ranking_row(run: Run, scored: Scored) -> Ranking:
    # The cells are the run's, whatever scheme version comes later.
    return Ranking(
        id=new_id("rnk"), run_id=run.id, corpus_id=run.corpus_id, snapshot_id=run.snapshot_id,
        method=scored.suspicion.method, parameters=scored.suspicion.parameters,
        cells=[[cell.question, cell.option] for cell in scored.reading.cells],
        audited_cells=scored.audited_cells, flagged_cells=scored.flagged_cells,
    )  # fmt: skip


def _suspicion_rows(ranking_id: str, run: Run, scored: Scored) -> Iterator[tuple[object, ...]]:
    for row in np.flatnonzero(np.isfinite(scored.scores).any(axis=1)):
        yield ranking_id, int(run.texts.text_version_ids[row]), scored.scores[row].tolist()


def _disagreement_rows(ranking_id: str, run: Run, scored: Scored) -> Iterator[tuple[object, ...]]:
    for found in listed(scored.reading, scored.scores, scored.flags):
        question, option = scored.codebook.cell_ids(scored.reading.cells[found.cell])
        yield (
            ranking_id, found.position, int(run.texts.text_ids[found.text]), int(run.texts.text_version_ids[found.text]),
            question, option, found.human_value, found.model_value, found.probability, found.suspicion,
        )  # fmt: skip


def _predictions(run: Run) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities, float32 (texts, options of the run), and held out, bool (texts), in the run's order."""
    query = select(Prediction.text_version_id, Prediction.probabilities, Prediction.held_out)
    with reading() as session:
        rows = session.execute(query.where(Prediction.run_id == run.id)).all()
    place = {int(version): row for row, version in enumerate(run.texts.text_version_ids)}
    probabilities = np.full((len(place), len(run.option_keys)), np.nan, dtype=np.float32)
    held_out = np.zeros(len(place), dtype=np.bool_)
    order = [place[version] for version, _, _ in rows]
    probabilities[order] = [values for _, values, _ in rows]
    held_out[order] = [held for _, _, held in rows]
    return probabilities, held_out


def _thresholds(run: Run, scheme: Scheme, around: Surroundings | None) -> NDArray[np.float32]:
    """float32 (texts, options): the shipped ones of the reading that answered for each text."""
    known = {alone: run.adapter.thresholds(alone=alone) for alone in (True, False)}
    alone, beside = (
        np.array([known[which].get(key, 0.5) for key in scheme.option_keys], dtype=np.float32)
        for which in (True, False)
    )
    versions = run.texts.text_version_ids
    given = np.zeros(len(versions), dtype=np.bool_) if around is None else around.given(versions)
    return np.where(given[:, None], beside, alone)
