"""`remand fine-tune` of the tasks causal and summarize: documents or rows from the disk, an adapter folder out, without any server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.training.folder import Source, write_generative_folder
from app.training.generative_rules import (
    check_fields,
    check_tasks,
    generative_request,
    pairs_of,
    settings_of,
    too_few,
)
from app.training.generative_schemas import SummarizeSettings
from app.training.schemas import TrainJobRequest
from models.documents.read import has_rows, is_archive, read_document, unpacked
from models.documents.rows import read_rows
from models.documents.values import DocumentRefusedError
from workers.documents import limits_of_settings

Emit = Callable[[dict[str, Any]], None]


def train_documents(
    data: Path, work: Path, output: Path, request: TrainJobRequest, catalog: dict[str, Any], emit: Emit, should_stop: Callable[[], bool]
) -> None:  # fmt: skip
    """Train a generative adapter on files; the same call goes on where an earlier one was stopped.

    Args:
        data: a document, a file of rows, a zip archive, or a folder of these.
        work: checkpoints.
        output: where the adapter goes.
        request: with task causal or summarize.
        catalog: which base models may be used.
        emit: takes events.
        should_stop: asked between micro-batches.

    Raises:
        Problem: the request does not go with its task, or the files hold nothing to train on.
    """
    from app.settings import get_settings
    from models.generative.run import train

    check_tasks(request)
    sources = read_sources(data, request, emit)
    inputs = work / "input"
    shutil.rmtree(inputs, ignore_errors=True)
    document = generative_request(request, get_settings()) | {"catalog": catalog}
    write_generative_folder(inputs, document, sources)
    train(inputs, work / "checkpoints", output, emit, should_stop)


def read_sources(data: Path, request: TrainJobRequest, emit: Emit) -> list[Source]:
    """Documents, or pairs from rows; a file that cannot be read is a warning, two documents are needed."""
    settings, limits = settings_of(request), limits_of_settings()
    pairs = isinstance(settings, SummarizeSettings)
    sources: list[Source] = []
    rows: list[dict[str, str]] = []
    refused = 0
    for name, content in _files(data, emit):
        try:
            if pairs != has_rows(name):
                raise DocumentRefusedError("document-kind-unknown", name, _other_kind(pairs=pairs))
            if pairs:
                rows += read_rows(content, name, limits)[0]
            else:
                sources.append(Source(name, read_document(content, name, limits).text))
        except DocumentRefusedError as error:
            refused += 1
            emit({"event": "warning", "detail": str(error)})
    if isinstance(settings, SummarizeSettings):
        sources = list(pairs_of(rows, settings))
        if not sources:
            check_fields(rows, settings)
    what = "pairs" if pairs else "documents"
    characters = sum(len(source.content) for source in sources)
    emit({"event": "documents_read", "what": what, "documents": len(sources), "characters": characters, "refused": refused})  # fmt: skip
    if len(sources) < 2:
        where = "folder" if data.is_dir() else "file"
        raise too_few(request, len(sources), where, "add some; what could not be read is named above")
    return sources


def _other_kind(*, pairs: bool) -> str:
    if pairs:
        return "summarize learns from rows: JSONL or CSV with a text and its summary."
    return "rows are for summarize; causal learns from PDF, DOCX and TXT files."


def _files(data: Path, emit: Emit) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file, those inside of archives included; sorted, without hidden ones."""
    found = sorted(path for path in data.rglob("*") if path.is_file()) if data.is_dir() else [data]
    root = data if data.is_dir() else data.parent
    for path in found:
        name = path.relative_to(root).as_posix()
        if any(part.startswith(".") for part in Path(name).parts):
            continue
        if not is_archive(name):
            yield name, path.read_bytes()
            continue
        try:
            yield from (
                (f"{name}/{inside}", content)
                for inside, content in unpacked(path, name, limits_of_settings())
            )
        except DocumentRefusedError as error:
            emit({"event": "warning", "detail": str(error)})
