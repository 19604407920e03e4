"""A relabel job from freeze to ranking; every stage can be killed and taken up again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.settings import get_settings
from workers.job_context import JobContext, JobStopped
from workers.neighbours import Surroundings
from workers.relabel.bulk import PATIENCE_SECONDS, BulkWorkers
from workers.relabel.embeddings import EmbeddingStore
from workers.relabel.evidence import gather
from workers.relabel.frozen import Run, start_or_resume
from workers.relabel.members import Assignment, assign, signed_texts
from workers.relabel.predict import predict
from workers.relabel.ranking import write_ranking
from workers.relabel.scoring import Wishes, score_run


class Stages:
    """Seconds per stage; between stages the job stops when it is asked to."""

    def __init__(self, job: JobContext) -> None:
        self._job = job
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage. JobStopped before it begins when the job shall stop."""
        if self._job.stop_reason() is not None:
            raise JobStopped
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._job.emit("stage", {"stage": name, "seconds": round(self.seconds[name], 2)})


def run(job: JobContext) -> None:
    """Relabel a corpus."""
    stages = Stages(job)
    with stages.stage("freeze"):
        found = start_or_resume(job)
    with stages.stage("held-out members"):
        signed = signed_texts(job, found)
        assignment = assign(job, found, signed)
        embeddings = EmbeddingStore(job, found)
    with stages.stage("read"):
        around = _surroundings(job, found) if found.adapter.reads_context else None
        asyncio.run(_predict(job, found, assignment, embeddings, around))
    with stages.stage("score"):
        wishes = Wishes.of(job.params)
        job.progress(stage="scoring", done=0, total=1)
        kept = gather(found, embeddings.all, signed)
        scored = score_run(found, kept, found.texts.values, wishes, around)
        blobs = {"evidence": job.blobs.put_bytes(kept.to_bytes())}
        if embeddings.all is not None:
            blobs["embeddings"] = job.blobs.put_bytes(embeddings.to_bytes())
        job.progress(stage="scoring", done=1, total=1)  # stored with the result, at the latest
    write_ranking(job, found, scored, blobs, wishes.decoys, stages.seconds)


async def _predict(
    job: JobContext,
    found: Run,
    assignment: Assignment,
    embeddings: EmbeddingStore,
    around: Surroundings | None,
) -> None:
    settings = get_settings()
    workers = BulkWorkers(
        settings.inference_urls, settings.inference_token.get_secret_value(), PATIENCE_SECONDS
    )
    try:
        await predict(job, found, assignment, embeddings, workers, around)
    finally:
        await workers.close()


def _surroundings(job: JobContext, run: Run) -> Surroundings:
    """What stands around every text of the run."""
    total = len(run.texts.text_version_ids)

    def look(done: int) -> None:
        job.progress(stage="looking for headings", done=done, total=total)
        if job.stop_reason() is not None:
            raise JobStopped

    return Surroundings(run.texts.text_version_ids, run.texts.groups, look=look)
