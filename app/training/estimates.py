"""Estimates of train jobs: a measurement of the last day is used again, a missing one is made by a job on the train queue."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select, text

from app.db.session import AnySession, WriteSession, reading, writing
from app.db.tables import Job, Measurement
from app.jobs.queries import create_job, get_job
from app.jobs.rules import State, is_final
from app.settings import Settings, get_settings
from app.training.estimate_schemas import EstimateAnswer, MeasuredAnswer
from app.training.schemas import TrainJobRequest
from models.training.estimate import DEFAULT_TRUNK_BYTES, Measured, Size, estimate, tokens_of
from models.versions import installed

GOOD_FOR = "24 hours"
"""How long a measurement is used again."""
SAMPLE_TEXTS = 200
"""Texts of the corpus that a measurement may read; it takes fewer where they are long."""
RETRY_SECONDS = 5
_POLL_SECONDS = 0.25
_ASKED = (
    "base_model", "method", "trained_layers", "lora_rank", "max_tokens", "batch_tokens", "accumulation",
    "activation_checkpointing", "wide", "device",
)  # fmt: skip
"""Fields of the request that speed and memory depend on."""
_PACKAGES = ("remand", "torch", "transformers")


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


def versions() -> dict[str, str]:
    """Versions of the packages that speed depends on, as installed here; empty ones where they are not."""
    return installed(_PACKAGES)


def newest(session: AnySession, corpus_id: str, asked: Mapping[str, Any]) -> Measurement | None:
    """The newest measurement of the last day for the same request and the same versions."""
    query = select(Measurement).where(
        Measurement.corpus_id == corpus_id,
        Measurement.base_model == asked["base_model"],
        Measurement.asked == dict(asked),
        Measurement.at > text(f"now() - interval '{GOOD_FOR}'"),
    )
    here = versions()
    for row in session.scalars(query.order_by(Measurement.at.desc(), Measurement.id.desc()).limit(20)):
        if all(row.versions.get(name, version) == version for name, version in here.items()):
            return row
    return None


def start_measurement(corpus_id: str, asked: Mapping[str, Any], chosen: Chosen, created_by: str) -> str:
    """A measuring job for this request: the one that waits or runs already, or a new one; gives its id.

    In a transaction of its own: a dry run stores nothing of the request, but the measurement is made all the same.
    """
    with writing() as session:
        # Two dry runs at once make one measurement.
        session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:id))"), {"id": f"measure {corpus_id}"})
        under_way = select(Job.id).where(
            Job.kind == "measure",
            Job.corpus_id == corpus_id,
            Job.state.in_((State.QUEUED, State.RUNNING)),
            Job.params["asked"] == dict(asked),
        )
        known = session.scalars(under_way.limit(1)).first()
        if known is not None:
            return known
        drawn = np.random.default_rng(0).permutation(np.asarray(chosen.version_ids, dtype=np.int64))
        params = {
            "asked": dict(asked),
            "device": asked["device"],
            "options": chosen.options,
            "text_version_ids": drawn[:SAMPLE_TEXTS].tolist(),
        }
        return create_job(session, "measure", corpus_id, params, created_by).id


def wait_for(job_id: str, seconds: float) -> None:
    """Until the job has ended, or so many seconds are over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with reading() as session:
            job = get_job(session, job_id)
        if job is None or is_final(job.state):
            return
        time.sleep(_POLL_SECONDS)


def answer_dry_run(
    db: WriteSession, body: TrainJobRequest, corpus_id: str, chosen: Chosen, actor: str
) -> tuple[EstimateAnswer | None, str | None]:
    """The estimate, or None and the measuring job that it waits for. Ends the transaction of `db`, so that nobody waits on it."""
    settings = get_settings()
    asked = asked_for(body, settings)
    row, job_id = newest(db, corpus_id, asked), None
    if row is None:
        db.rollback()
        job_id = start_measurement(corpus_id, asked, chosen, actor)
        wait_for(job_id, settings.measure_wait_seconds)
    with reading() as session:
        row = row or newest(session, corpus_id, asked)
        return (estimate_of(session, body, chosen, row), None) if row is not None else (None, job_id)


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
    measured = Measured.from_document(row.details)
    lengths = _lengths(session, chosen.version_ids)
    size = size_for(body, chosen, lengths, measured)
    epochs = measured.epochs if body.epochs == "auto" else body.epochs
    found = estimate(size, measured, epochs=epochs, time_budget_seconds=body.time_budget_seconds)
    return EstimateAnswer(
        seconds=found.seconds,
        range_seconds=(found.low_seconds, found.high_seconds),
        folds=size.folds,
        epochs=found.epochs,
        epochs_in_time_budget=found.epochs if body.time_budget_seconds is not None else None,
        tokens=size.tokens,
        tokens_read=found.tokens,
        tokens_per_second=round(measured.tokens_per_second, 1),
        trunk_tokens_per_second=round(measured.trunk_tokens_per_second, 1),
        memory_bytes=found.memory_bytes,
        disk_bytes=found.disk_bytes,
        measured=MeasuredAnswer(
            at=row.at,
            host=row.host,
            device=row.device,
            job_id=row.job_id,
            how=f"Training steps of {row.base_model} ({row.method}, {row.trained_layers} trained layers, windows of "
            f"{row.max_tokens} tokens) and the fits of one fold, on a few texts of this corpus.",
        ),
    )


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
