"""The end of a run or of a refit: ranking, suspicions, disagreements and findings in one fenced transaction."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb
from sqlalchemy import select

from app.blobs import Blob
from app.corpora.queries import register_blob
from app.db.session import WriteSession
from app.db.tables import Disagreement, Ranking, RelabelRun
from app.ids import new_id
from app.relabelling.queries import models_used
from models.audit.ranking import highest_scores, text_scores
from models.audit.sample.calibration import Calibration
from workers.job_context import JobContext
from workers.relabel.calibrating import budget_document, calibration_document
from workers.relabel.copying import copy_rows, real_arrays
from workers.relabel.decoys import borrowed, with_decoys
from workers.relabel.findings import Found, cells_of, found_in
from workers.relabel.frozen import Run
from workers.relabel.listing import Listed, in_order, listed
from workers.relabel.scoring import Scored


def write_ranking(
    job: JobContext, run: Run, scored: Scored, blobs: dict[str, Blob], share: float, seconds: dict[str, float]
) -> None:
    """Write everything that the run found and end the job, in one transaction: one ranking per run, or none.

    blobs: of embeddings and evidence, by column of the run. share: of decoys in the queue.
    """

    def body(session: WriteSession) -> None:
        row = session.get_one(RelabelRun, run.id, with_for_update=True, populate_existing=True)
        keep_blobs(job, session, row, blobs)
        row.finished_at = datetime.now(UTC)
        ranking = store(session, run, scored, row.snapshot_id, share)
        job.succeed(session, result_of(session, row, ranking, scored, seconds))

    job.transaction(body)


def keep_blobs(job: JobContext, session: WriteSession, row: RelabelRun, blobs: dict[str, Blob]) -> None:
    """Register what a run keeps beside its predictions."""
    media = {"embeddings": "application/x-npy", "evidence": "application/x-npz"}
    for purpose, blob in blobs.items():
        register_blob(session, job.blobs, blob, media[purpose], purpose)
        setattr(row, f"{purpose}_blob", blob.digest)


def store(session: WriteSession, run: Run, scored: Scored, snapshot_id: str, share: float) -> Ranking:
    """The ranking with its rows, in the caller's transaction."""
    rng = np.random.default_rng()  # never stored: see `with_decoys`
    queue = with_decoys(in_order(scored.scores, scored.flags), scored.scores, share, rng)
    found = found_in(scored)
    placed = {(text, cell) for text, cell, _ in queue}
    others = [place for place in cells_of(found) if place not in placed]
    rows = list(listed(scored.reading, scored.scores, queue, others))
    ranking = _ranking_row(run, scored, snapshot_id, sum(row.reason == "decoy" for row in rows))
    session.add(ranking)
    session.flush()
    chances = _chances(scored)
    copy_rows(session, _SUSPICIONS, _SUSPICION_TYPES, _suspicion_rows(ranking.id, run, scored, chances))
    places = borrowed(queue, scored.every, rng) + [None] * len(others)
    copy_rows(
        session, _DISAGREEMENTS, _DISAGREEMENT_TYPES,
        _disagreement_rows(ranking.id, run, scored, rows, places, chances),
    )  # fmt: skip
    query = select(Disagreement.position, Disagreement.id).where(Disagreement.ranking_id == ranking.id)
    numbers = {position: number for position, number in session.execute(query)}  # noqa: C416  # rows are no pairs to mypy
    ids = {(row.text, row.cell): numbers[row.position] for row in rows}
    copy_rows(session, _FINDINGS, _FINDING_TYPES, _finding_rows(ranking.id, run, found, ids))
    return ranking


def result_of(
    session: WriteSession, row: RelabelRun, ranking: Ranking, scored: Scored, seconds: dict[str, float]
) -> dict[str, Any]:
    """What the job reports: counts, texts per number of models, seconds per stage of this attempt."""
    return {
        "run": row.id,
        "ranking": ranking.id,
        "snapshot": ranking.snapshot_id,
        "adapter": row.adapter_id,
        "texts": row.text_count,
        "held_out_texts": row.text_count - row.not_audited,
        "not_audited_texts": row.not_audited,
        "texts_per_models": models_used(session, row.id),
        "audited_cells": scored.audited_cells,
        "settled_cells": int(scored.settled.sum()),
        "flagged_cells": scored.flagged_cells,
        "decoy_cells": ranking.decoy_cells,
        "findings": {"violations": len(scored.found[0]), "conflicts": len(scored.found[1])},
        "calibrated": ranking.calibration["calibrated"],
        "method": ranking.method,
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }


_SUSPICIONS = (
    "suspicions (ranking_id, text_version_id, suspicion, scores, error_probability, any_wrong, highest)"
)
_SUSPICION_TYPES = ("text", "int8", "bytea", "bytea", "bytea", "float4", "float4")
_DISAGREEMENTS = (
    "disagreements (ranking_id, position, text_id, text_version_id, question_id, option_id, reason,"
    " human_value, model_value, probability, suspicion, scores, places, error_probability)"
)
_DISAGREEMENT_TYPES = (
    "text", "int4", "int8", "int8", "int8", "int8", "text", "text", "text", "float4", "float4", "float4[]", "float4[]", "float4",
)  # fmt: skip
_FINDINGS = "findings (ranking_id, position, kind, text_id, other_text_id, detail, disagreements)"
_FINDING_TYPES = ("text", "int4", "text", "int8", "int8", "jsonb", "int8[]")


def _ranking_row(run: Run, scored: Scored, snapshot_id: str, decoys: int) -> Ranking:
    # The cells are the run's, whatever scheme version comes later.
    return Ranking(
        id=new_id("rnk"), run_id=run.id, corpus_id=run.corpus_id, snapshot_id=snapshot_id,
        method=scored.names[0], parameters=scored.parameters, score_names=list(scored.names),
        cells=[[cell.question, cell.option] for cell in scored.reading.cells],
        audited_cells=scored.audited_cells, flagged_cells=scored.flagged_cells, decoy_cells=decoys,
        calibration=calibration_document(scored.calibration, scored.samples),
        budget=budget_document(scored.calibration, scored.scores) if isinstance(scored.calibration, Calibration) else None,
    )  # fmt: skip


def _chances(scored: Scored) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    """Error probabilities, float32 (texts, cells); None until calibrated."""
    if not isinstance(scored.calibration, Calibration):
        return None
    return scored.calibration.apply(scored.scores).astype(np.float32)


def _suspicion_rows(
    ranking_id: str, run: Run, scored: Scored, chances: np.ndarray[Any, np.dtype[np.float32]] | None
) -> Iterator[tuple[object, ...]]:
    rows = np.flatnonzero(np.isfinite(scored.scores).any(axis=1))
    kept = scored.every[:, rows]
    flat = np.ascontiguousarray(kept.transpose(1, 0, 2)).reshape(len(rows), kept.shape[0] * kept.shape[2])
    wrong = [None] * len(rows) if chances is None else real_arrays(chances[rows])
    yield from zip(
        [ranking_id] * len(rows),
        run.texts.text_version_ids[rows].tolist(),
        real_arrays(kept[0]),
        real_arrays(flat),
        wrong,
        text_scores(kept[0]).tolist(),
        highest_scores(kept[0]).tolist(),
        strict=True,
    )


def _disagreement_rows(
    ranking_id: str,
    run: Run,
    scored: Scored,
    rows: list[Listed],
    places: list[list[float] | None],
    chances: np.ndarray[Any, np.dtype[np.float32]] | None,
) -> Iterator[tuple[object, ...]]:
    for found, place in zip(rows, places, strict=True):
        question, option = scored.codebook.cell_ids(scored.reading.cells[found.cell])
        chance = (
            None if chances is None or found.suspicion is None else float(chances[found.text, found.cell])
        )
        yield (
            ranking_id, found.position, int(run.texts.text_ids[found.text]), int(run.texts.text_version_ids[found.text]),
            question, option, found.reason, found.human_value, found.model_value, found.probability, found.suspicion,
            scored.every[:, found.text, found.cell].tolist(), place, chance,
        )  # fmt: skip


def _finding_rows(
    ranking_id: str, run: Run, found: list[Found], ids: dict[tuple[int, int], int]
) -> Iterator[tuple[object, ...]]:
    for position, finding in enumerate(found, 1):
        yield (
            ranking_id, position, finding.kind, int(run.texts.text_ids[finding.text]),
            None if finding.other is None else int(run.texts.text_ids[finding.other]),
            Jsonb(finding.detail), [ids[place] for place in finding.cells],
        )  # fmt: skip
