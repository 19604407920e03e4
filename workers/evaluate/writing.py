"""What models write, asked of the inference workers: prompts in chunks, each kept in the work folder, so that a later attempt goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.blobs import sync_path
from app.settings import get_settings
from workers.job_context import JobContext, JobStopped
from workers.relabel.bulk import BulkWorkers

CHUNK = 32
"""Prompts of one request: what is lost when the job is killed."""
_LOOK_SECONDS = 1.0
"""Between two looks at whether the job shall stop while workers write."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A model by which text is written or read: an adapter's blob, or a base model's name."""

    name: str
    """Of the arm: a part of file names."""
    of: dict[str, str]
    """{"adapter": digest} or {"base": name}."""
    asked: dict[str, Any]
    """Further fields of each request: how is written."""


class Asking:
    """The inference workers, for one job."""

    def __init__(self, context: JobContext, workers: BulkWorkers, runner: asyncio.Runner) -> None:
        self._context, self._workers, self._runner = context, workers, runner

    def results(
        self, path: str, writer: Writer, field: str, texts: Sequence[str], total: int
    ) -> list[dict[str, Any]]:
        """A result for every text, in order: what was kept, the rest asked for chunk by chunk.

        Args:
            path: of the inference worker.
            writer: the model.
            field: in which the texts are sent: `prompts` or `texts`.
            texts: all of them.
            total: of the progress.

        Raises:
            JobStopped: asked to stop; what was written until then is kept.
            JobFailed: the workers refuse, or none answers.
        """
        found: list[dict[str, Any]] = []
        for start in range(0, len(texts), CHUNK):
            part = list(texts[start : start + CHUNK])
            kept = self._context.work_dir / f"{path.strip('/')}-{writer.name}-{start:09}.json"
            if not kept.exists():
                answer = self._ask(path, {**writer.of, field: part, "lane": "bulk", **writer.asked})
                temporary = kept.with_suffix(".partial")
                temporary.write_text(json.dumps(answer["results"]), encoding="utf-8")
                sync_path(temporary)
                temporary.replace(kept)
                sync_path(self._context.work_dir)  # the checkpoint says that it is kept
                self._context.save_checkpoint({"stage": writer.name, "items": start + len(part)})
            found += json.loads(kept.read_text(encoding="utf-8"))
            self._context.progress(stage=f"writing: {writer.name}", done=len(found), total=total)
        return found

    def once(self, path: str, writer: Writer, **body: Any) -> dict[str, Any]:
        """One answer that is not kept."""
        return self._ask(path, {**writer.of, **body})

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._runner.run(self._patiently(path, body))
        return answer

    async def _patiently(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer; looks every second whether to stop, which drops the request."""
        asked = asyncio.ensure_future(self._workers.post(path, body))
        try:
            while True:
                if self._context.stop_reason() is not None:
                    raise JobStopped
                done, _ = await asyncio.wait({asked}, timeout=_LOOK_SECONDS)
                if done:
                    self._workers.heard()
                    found: dict[str, Any] = asked.result().json()
                    return found
        finally:
            asked.cancel()


@contextmanager
def asking(context: JobContext) -> Iterator[Asking]:
    """The configured inference workers, until the end of the block."""
    settings = get_settings()
    with asyncio.Runner() as runner:
        workers = BulkWorkers(settings.inference_urls, settings.inference_token.get_secret_value())
        try:
            yield Asking(context, workers, runner)
        finally:
            runner.run(workers.close())
