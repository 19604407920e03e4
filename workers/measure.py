"""A measuring job: how fast and in how much memory this machine trains a base model, on a few texts of a corpus. `python -m workers.measure JOB FENCE`."""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import psutil

from app.db.session import WriteSession, reading
from app.db.tables import Measurement
from app.settings import get_settings
from app.training.base_models import catalog_document
from app.training.estimates import versions
from app.training.folder import TrainingInput, write_training_folder
from app.training.queries import contents
from app.training.schemas import TrainJobRequest
from models.scheme import Option, Question, QuestionKind, Scheme
from models.training.estimate import Measured
from workers.job_context import JobContext, JobFailed, child_main

MOST_CHARACTERS = 30_000
"""Of the texts that are read: a few seconds of a small encoder's time."""
LEAST_TEXTS = 16
MOST_OPTIONS = 40
_YES = 0.3


def run(context: JobContext) -> None:
    """Params: asked (app.training.estimates.asked_for), options, text_version_ids."""
    import torch

    settings = get_settings()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    context.beat("loading")
    inputs = context.work_dir / "input"
    shutil.rmtree(inputs, ignore_errors=True)
    write_training_folder(inputs, _sample(context))
    context.beat("measuring")
    measured = _measured(context)
    row = _row(context, measured, "cpu" if not _on_gpu(context) else torch.cuda.get_device_name())

    def body(session: WriteSession) -> None:
        session.add(row)
        session.flush()
        shown = ("tokens_per_second", "trunk_tokens_per_second", "start_seconds", "memory_bytes")
        context.succeed(session, {name: round(asdict(measured)[name], 1) for name in shown})

    with context.fenced() as session:
        body(session)


def _measured(context: JobContext) -> Measured:
    from models.catalog import ModelUnavailableError
    from models.training.errors import TrainingRefusedError
    from models.training.measure import measure

    work = context.work_dir / "measured"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    started = time.monotonic() - (time.time() - psutil.Process().create_time())
    try:
        return measure(context.work_dir / "input", work, started)
    except (TrainingRefusedError, ModelUnavailableError) as error:
        raise JobFailed(error.code, str(error), field=getattr(error, "field", None)) from error


def _on_gpu(context: JobContext) -> bool:
    import torch

    return torch.cuda.is_available() and "cpu" not in {get_settings().device, context.params["device"]}


def _sample(context: JobContext) -> TrainingInput:
    """The texts in the order drawn, as many as are needed; made-up labels, because only their number matters."""
    with reading() as session:
        numbers = np.array(context.params["text_version_ids"], dtype=np.int64)
        by_number = contents(session, numbers)
    texts: list[str] = []
    taken = 0
    for number in numbers.tolist():
        if number in by_number and (taken < MOST_CHARACTERS or len(texts) < LEAST_TEXTS):
            texts.append(by_number[number])
            taken += len(by_number[number])
    options = max(1, min(MOST_OPTIONS, context.params["options"]))
    scheme = Scheme(
        (
            Question(
                "options",
                QuestionKind.YES_NO_SET,
                tuple(Option(f"o{place}", place) for place in range(options)),
            ),
        )
    )
    labels = (np.random.default_rng(0).random((len(texts), options)) < _YES).astype(np.int8)
    labels[:1], labels[1:2] = 1, 0  # nothing that never varies
    keys = [str(row) for row in range(len(texts))]
    settings = get_settings()
    asked = context.params["asked"]
    request = TrainJobRequest.model_validate(
        {name: value for name, value in asked.items() if name in TrainJobRequest.model_fields}
        | {"corpus": "measured", "folds": 2, "epochs": 1}
    )
    device = settings.device if request.device == "auto" else request.device
    catalog = catalog_document(settings)
    return TrainingInput(
        request=request.trainer_request()
        | {"scheme": scheme.to_document(), "device": device, "catalog": catalog},
        keys=keys,
        contents=texts,
        groups=keys,
        splits=[None] * len(texts),
        labels=labels,
        corpus_groups=keys,
    )


def _row(context: JobContext, measured: Measured, device: str) -> Measurement:
    asked: dict[str, Any] = context.params["asked"]
    assert context.corpus_id is not None
    return Measurement(
        corpus_id=context.corpus_id,
        job_id=context.job_id,
        host=socket.gethostname(),
        device=device,
        base_model=asked["base_model"],
        method=asked["method"],
        trained_layers=measured.trained_layers,
        max_tokens=measured.max_tokens,
        tokens_per_second=measured.tokens_per_second,
        trunk_tokens_per_second=measured.trunk_tokens_per_second,
        memory_bytes=measured.memory_bytes,
        asked=asked,
        versions=versions(),
        details=measured.to_document(),
    )


if __name__ == "__main__":
    child_main(run)
