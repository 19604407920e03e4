"""`python -m workers.summarize JOB FENCE`, started by the jobs worker."""

from __future__ import annotations

from workers.job_context import child_main
from workers.summarize.job import run

if __name__ == "__main__":
    child_main(run)
