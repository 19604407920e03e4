"""A measuring job: how fast and in how much memory this machine trains a base model, on a few texts or documents of a corpus. `python -m workers.measure JOB FENCE`."""

from __future__ import annotations

import shutil
import socket
import time
from typing import Any

import numpy as np
import psutil

from app.db.session import WriteSession, reading
from app.db.tables import Measurement
from app.settings import get_settings
from app.training.base_models import catalog_document
from app.training.folder import TrainingInput, write_training_folder
from app.training.measurements import versions
from app.training.queries import contents
from app.training.schemas import TrainJobRequest
from models.generative.estimate import GenerativeMeasured
from models.scheme import Option, Question, QuestionKind, Scheme
from models.training.estimate import Measured
from workers.job_context import JobContext, JobFailed, child_main
from workers.measure_documents import measure_documents

MOST_CHARACTERS = 30_000
"""Of the texts that are read: a few seconds of a small encoder's time."""
LEAST_TEXTS = 16
MOST_OPTIONS = 40
_YES = 0.3


def run(context: JobContext) -> None:
    """Params: asked (what the measurement is for); of classification also options and text_version_ids."""
    import torch

    settings = get_settings()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    context.beat("loading")
    shutil.rmtree(context.work_dir / "input", ignore_errors=True)
    row = _measured(context)
    row.device = "cpu" if not _on_gpu(context) else torch.cuda.get_device_name()
    shown = ("tokens_per_second", "trunk_tokens_per_second", "memory_bytes")
    result = {name: round(getattr(row, name), 1) for name in shown} | {
        "start_seconds": round(row.details["start_seconds"], 1)
    }

    def body(session: WriteSession) -> None:
        session.add(row)
        session.flush()
        context.succeed(session, result)

    with context.fenced() as session:
        body(session)


def _measured(context: JobContext) -> Measurement:
    from models.catalog import ModelUnavailableError
    from models.training.errors import TrainingRefusedError

    started = time.monotonic() - (time.time() - psutil.Process().create_time())
    generative = context.params["asked"].get("task", "classify") != "classify"
    try:
        if generative:
            return _generative_row(context, measure_documents(context, started))
        return _row(context, _measure_texts(context, started))
    except (TrainingRefusedError, ModelUnavailableError) as error:
        raise JobFailed(error.code, str(error), field=getattr(error, "field", None)) from error


def _measure_texts(context: JobContext, started: float) -> Measured:
    from models.training.measure import measure

    inputs, work = context.work_dir / "input", context.work_dir / "measured"
    write_training_folder(inputs, _sample(context))
    context.beat("measuring")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    return measure(inputs, work, started)


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


def _row(context: JobContext, measured: Measured) -> Measurement:
    return _measurement(
        context,
        measured.to_document(),
        trained_layers=measured.trained_layers,
        max_tokens=measured.max_tokens,
        tokens_per_second=measured.tokens_per_second,
        trunk_tokens_per_second=measured.trunk_tokens_per_second,
        memory_bytes=measured.memory_bytes,
    )


def _generative_row(context: JobContext, measured: GenerativeMeasured) -> Measurement:
    asked = context.params["asked"]
    return _measurement(
        context,
        measured.to_document(),
        trained_layers=measured.layers,
        max_tokens=measured.block_tokens or asked["summarize"]["max_input_tokens"],
        tokens_per_second=measured.tokens_per_second,
        trunk_tokens_per_second=measured.read_tokens_per_second,
        memory_bytes=measured.memory_bytes,
    )


def _measurement(context: JobContext, details: dict[str, Any], **columns: Any) -> Measurement:
    """The row to store; its device is still to be said."""
    asked: dict[str, Any] = context.params["asked"]
    return Measurement(
        corpus_id=context.corpus_id,
        job_id=context.job_id,
        host=socket.gethostname(),
        base_model=asked["base_model"],
        method=asked["method"],
        asked=asked,
        versions=versions(),
        details=details,
        **columns,
    )


if __name__ == "__main__":
    child_main(run)
