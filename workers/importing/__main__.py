"""The import job's child process: `python -m workers.importing JOB FENCE`."""

from workers.importing.run import run
from workers.job_context import child_main

if __name__ == "__main__":
    child_main(run)
