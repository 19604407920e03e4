"""Estimates of classification jobs: the arithmetic on a measurement (app.training.measurements), for the texts that would be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import text

from app.db.session import AnySession, WriteSession, reading
from app.db.tables import Measurement
from app.settings import Settings, get_settings
from app.training.estimate_schemas import EstimateAnswer, MeasuredAnswer
from app.training.measurements import Found, Wanted, measured, newest
from app.training.schemas import TrainJobRequest
from models.training.estimate import DEFAULT_TRUNK_BYTES, Measured, Size, estimate, tokens_of

SAMPLE_TEXTS = 200
"""Texts of the corpus that a measurement may read; it takes fewer where they are long."""
_ASKED = (
    "base_model", "method", "trained_layers", "lora_rank", "max_tokens", "batch_tokens", "accumulation",
    "activation_checkpointing", "wide", "device",
)  # fmt: skip
"""Fields of the request that speed and memory depend on."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a train job would read: the versions of its texts, its options, the groups of its corpus."""

    version_ids: Sequence[int]
    options: int
    groups: int


def asked_for(body: TrainJobRequest, settings: Settings) -> dict[str, Any]:
    """What a measurement must have been made for, to be used for this request."""
    document = body.model_dump(mode="json")
    return {name: document[name] for name in _ASKED} | {"threads": settings.threads, "where": settings.device}


def wanted_for(body: TrainJobRequest, corpus_id: str, chosen: Chosen) -> Wanted:
    """The measurement that the estimate needs, and a sample of the texts for it."""
    drawn = np.random.default_rng(0).permutation(np.asarray(chosen.version_ids, dtype=np.int64))
    sample = {"options": chosen.options, "text_version_ids": drawn[:SAMPLE_TEXTS].tolist()}
    return Wanted(corpus_id, asked_for(body, get_settings()), sample)


def answer_dry_run(
    db: WriteSession, body: TrainJobRequest, corpus_id: str, chosen: Chosen, actor: str
) -> tuple[EstimateAnswer | None, Found]:
    """The estimate, or None and what is known of its measurement. Ends the transaction of `db`."""
    found = measured(db, wanted_for(body, corpus_id, chosen), actor)
    if found.row is None:
        return None, found
    with reading() as session:
        return estimate_of(session, body, chosen, found.row), found


def known_estimate(
    db: AnySession, body: TrainJobRequest, corpus_id: str, chosen: Chosen
) -> dict[str, Any] | None:
    """The estimate of a job that is made, where a measurement is at hand: kept with it, to be compared with what it took."""
    row = newest(db, corpus_id, asked_for(body, get_settings()))
    return estimate_of(db, body, chosen, row).model_dump(mode="json") if row is not None else None


def estimate_of(
    session: AnySession, body: TrainJobRequest, chosen: Chosen, row: Measurement
) -> EstimateAnswer:
    """The arithmetic on a measurement, for the texts that would be trained on."""
    speeds = Measured.from_document(row.details)
    size = size_for(body, chosen, _lengths(session, chosen.version_ids), speeds)
    epochs = speeds.epochs if body.epochs == "auto" else body.epochs
    budget = body.time_budget_seconds
    found = estimate(size, speeds, epochs=epochs, patience=body.patience, time_budget_seconds=budget)
    return EstimateAnswer(
        seconds=found.seconds,
        seconds_if_start_kept=found.start_kept_seconds,
        range_seconds=(found.low_seconds, found.high_seconds),
        folds=size.folds,
        epochs=found.epochs,
        epochs_in_time_budget=found.epochs if budget is not None else None,
        tokens=size.tokens,
        tokens_read=found.tokens,
        tokens_per_second=round(speeds.tokens_per_second, 1),
        trunk_tokens_per_second=round(speeds.trunk_tokens_per_second, 1),
        memory_bytes=found.memory_bytes,
        disk_bytes=found.disk_bytes,
        measured=measured_answer(
            row,
            f"Training steps of {row.base_model} ({row.method}, {row.trained_layers} trained layers, windows of "
            f"{row.max_tokens} tokens) and the fits of one fold, on a few texts of this corpus.",
        ),
    )


def measured_answer(row: Measurement, how: str) -> MeasuredAnswer:
    """Where an estimate comes from."""
    return MeasuredAnswer(at=row.at, host=row.host, device=row.device, job_id=row.job_id, how=how)


def size_for(body: TrainJobRequest, chosen: Chosen, lengths: Mapping[int, int], measured: Measured) -> Size:
    """How big the job is.

    Args:
        body: the request.
        chosen: what it would read.
        lengths: its texts by their number of characters.
        measured: resolves what is "auto".
    """
    folds = min(measured.folds, chosen.groups) if body.folds == "auto" else body.folds
    return Size(
        texts=sum(lengths.values()),
        tokens=tokens_of(lengths, measured.characters_per_token, measured.max_tokens, measured.max_windows),
        characters=sum(length * texts for length, texts in lengths.items()),
        options=chosen.options,
        hidden=measured.hidden,
        layers=measured.layers,
        heads=measured.heads,
        base_bytes=measured.base_bytes,
        method=body.method,
        trained_layers=measured.trained_layers,
        rank=body.lora_rank,
        max_tokens=measured.max_tokens,
        batch_tokens=measured.batch_tokens,
        trunk_bytes=DEFAULT_TRUNK_BYTES if body.memory_bytes == "auto" else body.memory_bytes,
        folds=max(2, folds),
    )


def _lengths(session: AnySession, version_ids: Sequence[int]) -> dict[int, int]:
    query = text(
        "SELECT length(content) AS characters, count(*) AS texts FROM text_versions WHERE id = ANY(:ids) GROUP BY 1"
    )
    return {row.characters: row.texts for row in session.execute(query, {"ids": list(version_ids)})}
