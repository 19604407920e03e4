"""A trainer that is killed at every stage of its job ends with the adapter of one that ran through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db.session import reading, writing
from app.db.tables import Adapter, Job
from app.jobs import leases
from app.jobs.queries import create_job, events_after
from app.settings import get_settings
from app.training.schemas import TrainJobRequest
from tests.small_corpus import letters, store_letters
from tests.tiny_model import write_tiny_model

pytestmark = pytest.mark.fault

PLACES = ("tokens", "trunk", "epoch", "calibration", "writing", "registering")
NOT_OF_THE_MODEL = {"report.json", "README.md"}
"""They say how long it took."""
Attempt = Callable[[str, str], int]


@pytest.fixture
def attempt(environment: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attempt]:
    """Claims a job and makes an attempt that dies at a place (or, at `nowhere`, ends); settles it as a supervisor does; gives the status."""
    write_tiny_model(environment / "models" / "tiny", [letter.content for letter in letters(200)])
    for name, value in (("MODEL_DIRS", str(environment / "models")), ("DEVICE", "cpu"), ("THREADS", "1")):
        monkeypatch.setenv(f"REMAND_{name}", value)
    get_settings.cache_clear()
    command = (sys.executable, "-m", "tests.fault.dying_trainer")
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ.copy()) as trainer:
        assert trainer.stdin is not None
        assert trainer.stdout is not None
        into, out = trainer.stdin, trainer.stdout

        def once(job_id: str, place: str) -> int:
            with writing(engine) as session:
                claimed = leases.claim(session, job_id, "test", 30)
            assert claimed is not None
            into.write(f"{job_id} {claimed.fence} {place}\n")
            into.flush()
            status = int(next(line for line in out if line.startswith("status")).split()[1])
            if status < 0:
                with writing(engine) as session:
                    leases.release(
                        session,
                        job_id,
                        claimed.fence,
                        code="child-died",
                        reason="killed",
                        counted=True,
                        max_attempts=3,
                    )
            return status

        yield once
        into.close()


def queue(engine: Engine, corpus_id: str, model: Path) -> str:
    request = TrainJobRequest.model_validate(
        {"corpus": "letters", "base_model": str(model), "folds": 2, "epochs": 1, "seed": 3}
    )
    with writing(engine) as session:
        return create_job(session, "train", corpus_id, request.model_dump(mode="json"), "ada").id


def learned(engine: Engine, job_id: str) -> dict[str, str]:
    """Digests of the one adapter's files."""
    with reading(engine) as session:
        job = session.get_one(Job, job_id)
        assert job.state == "succeeded", job.error
        assert job.result is not None
        adapter = session.get_one(Adapter, job.result["adapter_id"])
        files: dict[str, str] = adapter.manifest["files"]
    return {name: digest for name, digest in files.items() if name not in NOT_OF_THE_MODEL}


def test_a_trainer_killed_at_every_stage_ends_as_if_undisturbed(
    environment: Path, engine: Engine, attempt: Attempt
) -> None:
    corpus_id = store_letters(engine, 40).corpus_id
    model = environment / "models" / "tiny"
    undisturbed = queue(engine, corpus_id, model)
    assert attempt(undisturbed, "nowhere") == 0
    job_id = queue(engine, corpus_id, model)
    for place in PLACES:
        assert attempt(job_id, place) == -signal.SIGKILL, f"it did not come to {place}"
    with reading(engine) as session:
        assert session.query(Adapter).count() == 1, "half an adapter was registered"
    assert attempt(job_id, "nowhere") == 0
    assert learned(engine, job_id) == learned(engine, undisturbed)
    with reading(engine) as session:
        events = list(events_after(session, job_id, 0))
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    kinds = [event.kind for event in events]
    assert (kinds.count("requeued"), kinds.count("snapshot"), kinds.count("succeeded")) == (len(PLACES), 1, 1)
