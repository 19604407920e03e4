"""What models write, asked of the inference workers: prompts in chunks, each kept in the work folder, so that a later attempt goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from app.settings import get_settings
from models.text.abstractive import abstract
from models.text.abstracts import SummaryRefusedError, Wishes
from workers.evaluate.keeping import kept
from workers.job_context import JobContext, JobFailed, JobStopped
from workers.relabel.bulk import BulkWorkers
from workers.summarize.job import OF_THE_TEXT
from workers.summary_models import Models

T = TypeVar("T")
CHUNK = 32
"""Prompts of one request: what is lost when the job is killed."""
LONG_CHUNK = 8
"""Texts that are summarized at once where each may take many requests."""
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

        async def ask(part: list[str]) -> list[dict[str, Any]]:
            body = {**writer.of, field: part, "lane": "bulk", **writer.asked}
            found: list[dict[str, Any]] = (await self._workers.post(path, body)).json()["results"]
            return found

        return self._kept(f"{path.strip('/')}-{writer.name}", writer.name, texts, CHUNK, total, ask)

    def summaries(
        self, writer: Writer, wishes: Wishes, texts: Sequence[str], total: int
    ) -> list[dict[str, Any]]:
        """A summary of every text, however long, by the steps of POST /summarize: {text, strategy, chunks, calls}, or {code, error} of one that could not be made.

        Raises as `results`.
        """
        models = Models(
            post=self._workers.post, writer=writer.of, decoding=writer.asked, embedder=None, lane="bulk"
        )

        async def ask(part: list[str]) -> list[dict[str, Any]]:
            return list(await asyncio.gather(*(_summary(models, wishes, text) for text in part)))

        return self._kept(f"summaries-{writer.name}", writer.name, texts, LONG_CHUNK, total, ask)

    def once(self, path: str, writer: Writer, **body: Any) -> dict[str, Any]:
        """One answer that is not kept."""
        found: dict[str, Any] = self._run(self._workers.post(path, {**writer.of, **body})).json()
        return found

    def _kept(
        self,
        label: str,
        name: str,
        texts: Sequence[str],
        size: int,
        total: int,
        ask: Callable[[list[str]], Coroutine[Any, Any, list[dict[str, Any]]]],
    ) -> list[dict[str, Any]]:
        """A result for every text, `size` of them at a time; `label` begins the names of the files they are kept in."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(texts), size):
            part = list(texts[start : start + size])
            path = self._context.work_dir / f"{label}-{start:09}.json"
            if not path.exists():
                results = self._run(ask(part))
                with kept(path) as file:
                    file.write_text(json.dumps(results), encoding="utf-8")
                self._context.save_checkpoint({"stage": name, "items": start + len(part)})
            found += json.loads(path.read_text(encoding="utf-8"))
            self._context.progress(stage=f"writing: {name}", done=len(found), total=total)
        return found

    def _run(self, asked: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(self._patiently(asked))

    async def _patiently(self, asked: Coroutine[Any, Any, T]) -> T:
        """The answer; looks every second whether to stop, which drops the request."""
        task = asyncio.ensure_future(asked)
        try:
            while True:
                if self._context.stop_reason() is not None:
                    raise JobStopped
                done, _ = await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if done:
                    self._workers.heard()
                    return task.result()
        finally:
            task.cancel()


async def _summary(models: Models, wishes: Wishes, text: str) -> dict[str, Any]:
    try:
        made = await models.carry_out(abstract(text, wishes))
    except SummaryRefusedError as refusal:
        return {"code": refusal.code, "error": str(refusal)}
    except JobFailed as refusal:
        if refusal.code not in OF_THE_TEXT:
            raise
        return {"code": refusal.code, "error": refusal.detail}
    return {"text": made.text, "strategy": made.strategy, "chunks": made.chunks, "calls": made.calls}


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
