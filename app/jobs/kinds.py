"""The kinds of jobs as data: which module runs one, on which queue it waits, where the API shows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. `module` is started as `python -m module JOB FENCE`; `trainer` kinds own a device, are niced on a CPU and watched for signs of life;
    `pausable` ones end with a checkpoint when asked to, and go on from it.
    """

    name: str
    module: str
    queue: str
    prefix: str
    title: str
    trainer: bool = False
    pausable: bool = False
    at_once: int | None = None
    """So many of them on one jobs worker: jobs that wait for other jobs must leave it threads to run those."""


_BUILT_IN = (
    Kind("import", "workers.importing", "import", "/imports", "Import"),
    Kind("documents", "workers.documents", "import", "/document-jobs", "Document job", pausable=True),
    Kind("train", "workers.train", "train", "/train-jobs", "Train job", trainer=True, pausable=True),
    Kind("search", "workers.search", "search", "/searches", "Search", pausable=True, at_once=1),
    Kind("trial", "workers.search.trial", "train", "/trials", "Trial", trainer=True, pausable=True),
    Kind("sample", "workers.sample", "sample", "/sample-jobs", "Sample job"),
    Kind("evaluate", "workers.evaluate", "train", "/evaluations", "Evaluation", trainer=True, pausable=True),
    Kind("estimates", "workers.estimates", "sample", "/estimates", "Estimates job"),
    Kind("annotators", "workers.annotators", "sample", "/annotator-reports", "Annotator report"),
    Kind("measure", "workers.measure", "train", "/jobs", "Measurement", trainer=True),
    Kind("relabel", "workers.relabel", "relabel", "/relabel-jobs", "Relabel job", pausable=True),
    Kind("summary", "workers.summarize", "relabel", "/summary-jobs", "Summary job", pausable=True),
    Kind("rank", "workers.rank", "relabel", "/ranking-jobs", "Ranking job"),
)


def from_words(words: str) -> tuple[Kind, ...]:
    """Kinds that the fault tests add: `probe=tests.fault.probe_job,drill=tests.fault.probe_job:trainer`."""
    found = []
    for part in filter(None, words.split(",")):
        name, _, rest = part.partition("=")
        module, _, role = rest.partition(":")
        found.append(
            Kind(name, module, "import", f"/{name}-jobs", name, trainer=role == "trainer", pausable=True)
        )
    return tuple(found)


KINDS: Mapping[str, Kind] = {
    kind.name: kind for kind in (*_BUILT_IN, *from_words(os.environ.get("REMAND_TEST_JOB_KINDS", "")))
}
"""Every kind by its name."""

QUEUES: tuple[str, ...] = tuple(sorted({kind.queue for kind in KINDS.values()}))
"""The Celery queues that jobs workers listen to."""


def job_path(kind: str, job_id: str) -> str:
    """The address of a job: `/train-jobs/job_…`."""
    return f"{KINDS[kind].prefix}/{job_id}"
