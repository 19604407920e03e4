"""Estimates of generative jobs: the arithmetic on a measurement (app.training.measurements), for the documents that would be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.db.session import AnySession, WriteSession
from app.db.tables import Measurement
from app.settings import Settings, get_settings
from app.training.estimate_schemas import GenerativeEstimateAnswer
from app.training.estimates import measured_answer
from app.training.generative_queries import Sized
from app.training.generative_rules import settings_of
from app.training.generative_schemas import SummarizeSettings
from app.training.measurements import Found, Wanted, measured, newest
from app.training.schemas import TrainJobRequest
from models.data.folds import seeded_rank
from models.generative.estimate import (
    GenerativeMeasured,
    GenerativeSize,
    document_tokens,
    estimate_generative,
    pair_tokens,
)

_ASKED = ("task", "base_model", "method", "lora_rank", "activation_checkpointing", "device", "splits")
"""Fields of the request that speed, memory and what is read depend on."""
_NOT_ASKED = {"document_limit", "held_out_share", "rouge_pairs", "schedule"}
"""Settings of a task that a measurement is the same without."""


def asked_for(body: TrainJobRequest, settings: Settings) -> dict[str, Any]:
    """What a measurement must have been made for, to be used for this request."""
    document = body.model_dump(mode="json")
    own = settings_of(body).model_dump(mode="json", exclude=_NOT_ASKED)
    here = {"threads": settings.threads, "where": settings.device}
    return {name: document[name] for name in _ASKED} | {body.task: own} | here


def answer_dry_run(
    db: WriteSession, body: TrainJobRequest, corpus_id: str, documents: Sequence[Sized], actor: str
) -> tuple[GenerativeEstimateAnswer | None, Found]:
    """The estimate, or None and what is known of its measurement. Ends the transaction of `db`."""
    found = measured(db, Wanted(corpus_id, asked_for(body, get_settings()), {}), actor)
    return (None if found.row is None else estimate_of(body, documents, found.row)), found


def known_estimate(
    db: AnySession, body: TrainJobRequest, corpus_id: str, documents: Sequence[Sized]
) -> dict[str, Any] | None:
    """The estimate of a job that is made, where a measurement is at hand: kept with it, to be compared with what it took."""
    row = newest(db, corpus_id, asked_for(body, get_settings()))
    return estimate_of(body, documents, row).model_dump(mode="json") if row is not None else None


def estimate_of(
    body: TrainJobRequest, documents: Sequence[Sized], row: Measurement
) -> GenerativeEstimateAnswer:
    """The arithmetic on a measurement, for the documents that would be used."""
    speeds = GenerativeMeasured.from_document(row.details)
    size = size_for(body, used(body, documents), speeds)
    epochs = speeds.epochs if body.epochs == "auto" else body.epochs
    budget = body.time_budget_seconds
    found = estimate_generative(size, speeds, epochs=epochs, time_budget_seconds=budget)
    return GenerativeEstimateAnswer(
        seconds=found.seconds,
        seconds_if_start_kept=found.start_kept_seconds,
        range_seconds=(found.low_seconds, found.high_seconds),
        documents=size.documents,
        train_documents=found.parts.train,
        stopping_documents=found.parts.stopping,
        held_out_documents=found.parts.held_out,
        epochs=found.epochs,
        epochs_in_time_budget=found.epochs if budget is not None else None,
        steps=found.steps,
        tokens=size.tokens,
        tokens_read=found.tokens_read,
        tokens_per_second=round(speeds.tokens_per_second, 1),
        read_tokens_per_second=round(speeds.read_tokens_per_second, 1),
        seconds_per_summary=round(speeds.seconds_per_summary, 3) if body.task == "summarize" else None,
        memory_bytes=found.memory_bytes,
        device_memory_bytes=found.device_memory_bytes or None,
        disk_bytes=found.disk_bytes,
        measured=measured_answer(
            row,
            f"Training steps of {row.base_model} ({row.method}, {row.max_tokens} tokens at most in one) and reading, on a few of "
            "these documents.",
        ),
    )


def used(body: TrainJobRequest, documents: Sequence[Sized]) -> Sequence[Sized]:
    """The documents within `document_limit`: those that the trainer draws (models.generative.inputs), duplicates aside."""
    limit = settings_of(body).document_limit
    if limit is None or limit >= len(documents):
        return documents
    return sorted(documents, key=lambda document: seeded_rank(document.key, body.seed))[:limit]


def size_for(body: TrainJobRequest, documents: Sequence[Sized], speeds: GenerativeMeasured) -> GenerativeSize:
    """How big the job is."""
    settings = settings_of(body)
    lengths = [(document.characters, document.summary_characters) for document in documents]
    pairs = 0
    if isinstance(settings, SummarizeSettings):
        pairs = settings.rouge_pairs
        tokens = pair_tokens(lengths, speeds, (settings.max_input_tokens, settings.max_target_tokens))
    else:
        tokens = document_tokens([text for text, _summary in lengths], speeds)
    return GenerativeSize(
        task=body.task,
        documents=len(documents),
        characters=sum(text + summary for text, summary in lengths),
        tokens=tokens,
        held_out_share=settings.held_out_share,
        rouge_pairs=pairs,
    )
