"""A corpus, a base model and a jobs worker of one thread, for searches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, select

from app.db.session import reading
from app.db.tables import Job, JobPart
from tests.attempts import exit_of_attempt
from tests.integration.train.conftest import allowed, client, corpus, tiny_model
from workers.job_context import EXIT_DONE
from workers.search import run as parent
from workers.search import studies, trial
from workers.stopping import StopFlag
from workers.train import run as train

__all__ = ["allowed", "client", "corpus", "tiny_model"]

MODULES = {"search": parent.run, "trial": trial.run, "train": train}


@pytest.fixture
def worker(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Job]]:
    """`worker(search_id)` runs a search: the parent in a thread, one trial or train job at a time in this one.

    With `refit=False` the search is cancelled once its trials are over.
    """
    monkeypatch.setattr(parent, "LOOK_SECONDS", 0.02)

    def see_through(search_id: str, *, refit: bool = True) -> Job:
        flag = StopFlag()
        thread = threading.Thread(
            target=exit_of_attempt, args=(search_id, MODULES["search"], flag), daemon=True
        )
        thread.start()
        try:
            while thread.is_alive():
                waiting = next_job(engine, search_id)
                if waiting is None:
                    thread.join(0.02)
                elif waiting.kind == "train" and not refit:
                    break
                else:
                    assert exit_of_attempt(waiting.id, MODULES[waiting.kind]) == EXIT_DONE
        finally:
            flag.stop("cancel")
            thread.join()
        with reading(engine) as session:
            return session.get_one(Job, search_id)

    yield see_through
    studies.open_storage.cache_clear()


def next_job(engine: Engine, search_id: str) -> Job | None:
    """The oldest trial or train job of a search that waits."""
    mine = select(JobPart.job_id).where(JobPart.parent_id == search_id)
    query = select(Job).where(Job.state == "queued", Job.id.in_(mine)).order_by(Job.created_at, Job.id)
    with reading(engine) as session:
        return session.scalars(query).first()
