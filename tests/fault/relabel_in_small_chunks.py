"""The real relabel job, reading five texts at a time and holding in the middle of a small corpus, so that it can be killed there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from app.relabelling import rules
from workers.job_context import JobContext, child_main
from workers.relabel import predict
from workers.relabel.job import run

HOLD_AT = 15


def main(context: JobContext) -> None:
    """Params: those of a relabel job, and `gate`, the file it waits for after HOLD_AT texts."""
    rules.CHUNK_TEXTS = 5
    write, gate = predict._write, Path(context.params["gate"])

    def hold(job: JobContext, found: Any, assignment: Any, chunk: predict.Chunk) -> None:
        write(job, found, assignment, chunk)
        if chunk.end == HOLD_AT:
            job.emit("holding", {})
        while chunk.end == HOLD_AT and not gate.exists():
            time.sleep(0.02)

    predict._write = hold
    run(context)


if __name__ == "__main__":
    child_main(main)
