"""The long stage: chunk after chunk through the bulk lane, each written with its watermark in one fenced transaction."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.db.session import WriteSession
from app.db.tables import RelabelRun
from app.jobs.rules import eta_seconds
from app.relabelling.rules import chunk_ends
from models.data.context import Context
from workers.inference.wire import arrays_from_bytes
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.neighbours import Surroundings
from workers.relabel.bulk import BulkWorkers
from workers.relabel.contents import contents_of
from workers.relabel.copying import copy_rows
from workers.relabel.embeddings import EmbeddingStore
from workers.relabel.frozen import Run
from workers.relabel.members import Assignment
from workers.watermark import row_awaiting

T = TypeVar("T")
_AHEAD_PER_WORKER = 3
"""Chunks asked of each worker at a time: one is computed, the next is tokenized, and while the last is written a third waits."""
_EMBED_CHUNK = 512
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts start to end of the run's list, as read."""

    start: int
    end: int
    probabilities: NDArray[np.float32]
    """float32 (texts, options); NaN rows could not be read."""


async def predict(
    job: JobContext,
    run: Run,
    assignment: Assignment,
    embeddings: EmbeddingStore,
    workers: BulkWorkers,
    around: Surroundings | None = None,
) -> None:
    """Predict every text from the watermark on, then fill in embeddings that are missing.

    Raises:
        JobStopped: the job shall stop; everything up to the watermark stays.
        JobFailed: the workers refuse, or none answers.
        LeaseLost: another attempt has taken over.
    """
    total, began = len(run.lengths), time.monotonic()

    async def read(start: int, end: int) -> Chunk:
        versions = run.texts.text_version_ids[start:end]
        contexts = None if around is None else await asyncio.to_thread(around.of, versions)
        return await _read_chunk(run, assignment, embeddings, workers, start, end, contexts)

    bounds = pairwise((run.watermark, *chunk_ends(run.lengths.tolist(), run.watermark)))
    async with aclosing(
        _in_order((read(*bound) for bound in bounds), workers.count * _AHEAD_PER_WORKER)
    ) as chunks:
        while (chunk := await _unless_stopped(job, anext(chunks, None))) is not None:
            workers.heard()
            await asyncio.to_thread(_write, job, run, assignment, chunk)
            job.progress(
                stage="reading", done=chunk.end, total=total, eta_seconds=_eta(run, chunk.end, began)
            )
    await _fill_embeddings(job, run, embeddings, workers)


def _eta(run: Run, done: int, began: float) -> float | None:
    """Seconds left, judged by characters: texts differ in length."""
    read, left = int(run.lengths[run.watermark : done].sum()), int(run.lengths[done:].sum())
    return eta_seconds(read, read + left, time.monotonic() - began)


async def _read_chunk(
    run: Run,
    assignment: Assignment,
    embeddings: EmbeddingStore,
    workers: BulkWorkers,
    start: int,
    end: int,
    contexts: Sequence[Context] | None,
) -> Chunk:
    contents = await asyncio.to_thread(contents_of, run.texts.text_version_ids[start:end])
    wanted = embeddings.missing(slice(start, end))
    body = {
        "adapter": run.adapter.blob_digest,
        "texts": contents,
        "members": list(assignment.members),
        "uses": [assignment.uses(text) for text in range(start, end)],
        "embeddings": wanted,
        "corpus": run.corpus_id,
        "contexts": None if contexts is None else [context.to_document() for context in contexts],
    }
    answer = await workers.post("/bulk", body)
    arrays = arrays_from_bytes(answer.content, 2 if wanted else 1)
    if arrays[0].shape != (end - start, len(run.option_keys)):
        raise JobFailed(
            "inference-mismatch", f"The inference worker answered an array of shape {arrays[0].shape}."
        )
    if wanted:
        embeddings.put(slice(start, end), arrays[1])
        embeddings.flush()
    return Chunk(start, end, arrays[0])


async def _fill_embeddings(
    job: JobContext, run: Run, embeddings: EmbeddingStore, workers: BulkWorkers
) -> None:
    """Embeddings that no attempt has kept (another machine had them). Texts that cannot be read stay NaN."""
    rows = embeddings.missing_rows()
    for start in range(0, len(rows), _EMBED_CHUNK):
        part = rows[start : start + _EMBED_CHUNK]
        contents = await asyncio.to_thread(contents_of, run.texts.text_version_ids[part])
        body = {"base": run.adapter.base_name, "texts": contents, "dtype": "float16", "lane": "bulk"}
        answer = await _unless_stopped(job, workers.post("/embed", body))
        embeddings.put(part, arrays_from_bytes(answer.content, 1)[0])
        job.progress(stage="embedding", done=start + len(part), total=len(rows))
    embeddings.flush()


def _write(job: JobContext, run: Run, assignment: Assignment, chunk: Chunk) -> None:
    readable = np.asarray(np.isfinite(chunk.probabilities).all(axis=1))
    held_out = assignment.held_out[chunk.start : chunk.end] & readable

    def rows() -> Iterator[tuple[object, ...]]:
        for place, text in enumerate(range(chunk.start, chunk.end)):
            models = len(assignment.uses(text)) if readable[place] else 0
            version = int(run.texts.text_version_ids[text])
            yield run.id, version, chunk.probabilities[place].tolist(), bool(held_out[place]), models

    def body(session: WriteSession) -> None:
        row = row_awaiting(session, RelabelRun, run.id, chunk.start, chunk.end)
        if row is None:
            return
        columns = ("text", "int8", "float4[]", "bool", "int2")
        copy_rows(
            session, "predictions (run_id, text_version_id, probabilities, held_out, models)", columns, rows()
        )
        row.watermark = chunk.end
        row.not_audited += int((~held_out).sum())
        session.flush()
        job.save_checkpoint({"run": run.id, "watermark": chunk.end}, session)

    job.transaction(body)


async def _in_order(reads: Iterator[Coroutine[Any, Any, T]], ahead: int) -> AsyncGenerator[T, None]:
    """Results in order, with up to `ahead` under way; those under way are cancelled when nobody wants them any more."""
    pending: deque[asyncio.Task[T]] = deque()
    try:
        for read in reads:
            pending.append(asyncio.create_task(read))
            if len(pending) >= ahead:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _unless_stopped(job: JobContext, waited: Awaitable[T]) -> T:
    task = asyncio.ensure_future(waited)
    try:
        while not task.done():
            if job.stop_reason() is not None:
                raise JobStopped
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
