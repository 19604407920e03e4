"""`python -m workers.search JOB FENCE`: the child process of a search."""

from workers.job_context import child_main
from workers.search.run import run

if __name__ == "__main__":
    child_main(run)
