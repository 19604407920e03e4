"""`python -m workers.annotators JOB FENCE`."""

from workers.annotators.job import run
from workers.job_context import child_main

if __name__ == "__main__":
    child_main(run)
