"""A summary job: chunk after chunk of a corpus's texts through the bulk lane, each written with its watermark in one fenced transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from sqlalchemy import func

from app.db.session import WriteSession
from app.db.tables import Summary as SummaryRow
from app.db.tables import SummaryRun
from app.jobs.chunks import chunk_ends
from app.jobs.rules import eta_seconds
from app.settings import get_settings
from models.text.abstracts import SummaryRefusedError
from models.text.summarizing import Summary, UnfaithfulError
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.relabel.bulk import BulkWorkers
from workers.relabel.contents import contents_of
from workers.summarize.frozen import Run, start_or_resume
from workers.summary_models import Models
from workers.watermark import row_awaiting

T = TypeVar("T")
CHUNK_TEXTS = 16
CHUNK_CHARACTERS = 200_000
"""A chunk is what a kill costs, and what is in memory twice."""
OF_THE_TEXT = frozenset({"prompt-too-long", "no-room"})
"""Refusals of inference workers that say something of one text alone."""
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts start to end of the run's list, summarized."""

    start: int
    end: int
    rows: tuple[dict[str, Any], ...]


def run(job: JobContext) -> None:
    """Summarize a corpus."""
    found = start_or_resume(job)
    asyncio.run(_summarize(job, found))

    def body(session: WriteSession) -> None:
        row = session.get_one(SummaryRun, found.id)
        row.finished_at = func.now()
        session.flush()
        told = {"run": row.id, "texts": row.text_count, "without_summary": row.without, "model": row.model}
        job.succeed(session, told)

    job.transaction(body)


async def _summarize(job: JobContext, run: Run) -> None:
    settings = get_settings()
    workers = BulkWorkers(settings.inference_urls, settings.inference_token.get_secret_value())
    try:
        models = Models(
            post=workers.post, writer=run.writer, decoding=run.decoding, lane="bulk",
            embedder=await _unless_stopped(job, _embedder(job, run, workers)),
        )  # fmt: skip
        await _read_all(job, run, models, workers)
    finally:
        await workers.close()


async def _read_all(job: JobContext, run: Run, models: Models, workers: BulkWorkers) -> None:
    """Every chunk from the watermark on; the next one is under way while one is written."""
    total, began = len(run.version_ids), time.monotonic()
    bounds = list(
        pairwise((run.watermark, *chunk_ends(run.lengths, run.watermark, CHUNK_TEXTS, CHUNK_CHARACTERS)))
    )
    pending = [asyncio.ensure_future(_chunk(run, models, *bound)) for bound in bounds[:1]]
    try:
        for place in range(len(bounds)):
            if place + 1 < len(bounds):
                pending.append(asyncio.ensure_future(_chunk(run, models, *bounds[place + 1])))
            chunk = await _unless_stopped(job, pending.pop(0))
            workers.heard()
            await asyncio.to_thread(_write, job, run, chunk, dict(models.model))
            job.progress(
                stage="summarizing", done=chunk.end, total=total, eta_seconds=_eta(run, chunk.end, began)
            )
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _embedder(job: JobContext, run: Run, workers: BulkWorkers) -> str | None:
    """The embedder's name, or None, with an event, where the workers do not have it."""
    body = {"base": run.embedder, "texts": ["a"], "dtype": "float32", "lane": "bulk"}
    try:
        await workers.post("/embed", body)
    except JobFailed as failure:
        if failure.code == "no-inference-worker":
            raise
        await asyncio.to_thread(job.emit, "warning", {"code": "no-embedder", "detail": failure.detail})
        return None
    return run.embedder


async def _chunk(run: Run, models: Models, start: int, end: int) -> Chunk:
    contents = await asyncio.to_thread(contents_of, run.version_ids[start:end])
    rows = await asyncio.gather(*(_row(run, models, content) for content in contents))
    versions = run.version_ids[start:end]
    return Chunk(
        start,
        end,
        tuple({"text_version_id": number, **row} for number, row in zip(versions, rows, strict=True)),
    )


async def _row(run: Run, models: Models, content: str) -> dict[str, Any]:
    """One text's row, without its keys."""
    try:
        return stored(await models.carry_out(run.recipe.steps(content)))
    except UnfaithfulError as refusal:
        kept = {"supported_share": refusal.supported_share, "faithfulness": dict(refusal.document)}
        return kept | {"error": {"code": refusal.code, "detail": str(refusal)}}
    except SummaryRefusedError as refusal:
        return {"error": {"code": refusal.code, "detail": str(refusal)}}
    except JobFailed as refusal:
        if refusal.code not in OF_THE_TEXT:
            raise
        return {"error": {"code": refusal.code, "detail": refusal.detail}}


def stored(summary: Summary) -> dict[str, Any]:
    """A summary as the columns of its row."""
    faithfulness = None if summary.faithfulness is None else dict(summary.faithfulness)
    details: dict[str, Any] = dict(summary.made)
    if summary.sentences:
        details["sentences"] = [list(span) for span in summary.sentences]
    if summary.warnings:
        details["warnings"] = list(summary.warnings)
    return {
        "text": summary.text, "words": summary.words, "words_in_text": summary.words_in_text,
        "strategy": summary.strategy, "details": details, "faithfulness": faithfulness,
        "supported_share": None if faithfulness is None else faithfulness["supported_share"],
    }  # fmt: skip


def _write(job: JobContext, run: Run, chunk: Chunk, model: Mapping[str, Any]) -> None:
    def body(session: WriteSession) -> None:
        row = row_awaiting(session, SummaryRun, run.id, chunk.start, chunk.end)
        if row is None:
            return
        session.add_all(SummaryRow(run_id=run.id, **fields) for fields in chunk.rows)
        row.watermark = chunk.end
        row.without += sum("error" in fields for fields in chunk.rows)
        row.model = row.model | dict(model)
        session.flush()
        job.save_checkpoint({"run": run.id, "watermark": chunk.end}, session)

    job.transaction(body)


def _eta(run: Run, done: int, began: float) -> float | None:
    """Seconds left, judged by characters: texts differ in length."""
    read, left = sum(run.lengths[run.watermark : done]), sum(run.lengths[done:])
    return eta_seconds(read, read + left, time.monotonic() - began)


async def _unless_stopped(job: JobContext, waited: Awaitable[T]) -> T:
    task = asyncio.ensure_future(waited)
    try:
        while job.stop_reason() is None:
            if task.done():
                return task.result()
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
        raise JobStopped
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
