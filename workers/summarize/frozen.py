"""The start of a summary run: text versions and recipe frozen in one row that later attempts find again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text

from app.db.session import WriteSession, reading
from app.db.tables import Adapter, SummaryRun
from app.ids import new_id
from models.text.summarizing import Recipe, recipe_of
from workers.job_context import JobContext, JobFailed

_VERSIONS = text(
    """SELECT t.current_version_id, length(v.content) FROM texts t JOIN text_versions v ON v.id = t.current_version_id
    WHERE t.corpus_id = :corpus ORDER BY t.id"""
)
_LENGTHS = text("SELECT id, length(content) FROM text_versions WHERE id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as every attempt sees it."""

    id: str
    version_ids: tuple[int, ...]
    """Every text of the corpus at the start, in the order of their import."""
    lengths: tuple[int, ...]
    """Characters of each."""
    watermark: int
    """Texts done by earlier attempts."""
    recipe: Recipe
    writer: dict[str, Any]
    """`adapter` (a blob digest) or `base`, as the inference worker takes them; empty for extractive methods."""
    decoding: dict[str, Any]
    embedder: str


def start_or_resume(job: JobContext) -> Run:
    """The job's run: made now, or found as an earlier attempt left it.

    Raises:
        JobFailed: the corpus has no text, or the adapter is gone.
    """
    run_id = job.transaction(lambda session: _ensure_run(job, session))
    with reading() as session:
        row = session.get(SummaryRun, run_id)
        if row is None:
            raise JobFailed("run-gone", "The run was deleted while the job ran.")
        lengths = dict(map(tuple, session.execute(_LENGTHS, {"ids": row.text_version_ids}).all()))
        writer = _writer(session.get(Adapter, row.adapter_id) if row.adapter_id else None, row.parameters)
    recipe = recipe_of(row.parameters)
    if recipe.method == "abstractive" and not writer:
        raise JobFailed("adapter-gone", "The adapter was deleted before the job had ended.")
    return Run(
        id=row.id, version_ids=tuple(row.text_version_ids), watermark=row.watermark, recipe=recipe, writer=writer,
        lengths=tuple(lengths.get(number, 0) for number in row.text_version_ids),
        decoding=dict(row.parameters.get("decoding") or {}), embedder=str(row.parameters.get("embedder") or "minilm"),
    )  # fmt: skip


def _ensure_run(job: JobContext, session: WriteSession) -> str:
    """Id of the job's run."""
    found = session.scalars(select(SummaryRun.id).where(SummaryRun.job_id == job.job_id)).first()
    if found is not None:
        return found
    assert job.corpus_id is not None
    versions = [number for number, _ in session.execute(_VERSIONS, {"corpus": job.corpus_id}).all()]
    if not versions:
        raise JobFailed("no-texts", "The corpus has no text to summarize: import some.")
    adapter = job.params.get("adapter")
    if adapter is not None and session.get(Adapter, adapter) is None:
        raise JobFailed("adapter-gone", f"The adapter {adapter} was deleted before the job ran.")
    row = SummaryRun(
        id=new_id("smr"), job_id=job.job_id, corpus_id=job.corpus_id, adapter_id=adapter, method=job.params["method"],
        parameters=job.params, text_version_ids=versions, text_count=len(versions),
    )  # fmt: skip
    session.add(row)
    session.flush()
    job.emit("frozen", {"run": row.id, "texts": row.text_count, "method": row.method})
    return row.id


def _writer(adapter: Adapter | None, parameters: dict[str, Any]) -> dict[str, Any]:
    if adapter is not None:
        return {"adapter": adapter.blob_digest}
    return {"base": parameters["base_model"]} if parameters.get("base_model") else {}
