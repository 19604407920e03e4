"""The real summary job, five texts at a time and holding in the middle of a small corpus, so that it can be killed there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workers.job_context import JobContext, child_main
from workers.summarize import job as summarizing

HOLD_AT = 15


def main(context: JobContext) -> None:
    """Params: those of a summary job, and `gate`, the file it waits for after HOLD_AT texts."""
    summarizing.CHUNK_TEXTS = 5
    write, gate = summarizing._write, Path(context.params["gate"])

    def hold(job: JobContext, run: Any, chunk: summarizing.Chunk, model: Mapping[str, Any]) -> None:
        write(job, run, chunk, model)
        if chunk.end == HOLD_AT:
            job.emit("holding", {})
        while chunk.end == HOLD_AT and not gate.exists():
            time.sleep(0.02)

    summarizing._write = hold
    summarizing.run(context)


if __name__ == "__main__":
    child_main(main)
