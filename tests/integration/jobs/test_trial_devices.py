"""Which device's lease a trial takes: that of what its search was asked for, whatever else the machine has."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs.leases import take_lease
from app.jobs.queries import create_job
from workers import supervise


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(job, device) of every child that would have been started, on a machine with one GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    found: list[tuple[str, str]] = []

    def see_through(claimed: Any, _kind: Any, device: Any, _settings: Any) -> None:
        found.append((claimed.job_id, device.name))

    monkeypatch.setattr(supervise, "_see_through", see_through)
    return found


def trial(engine: Engine, device: str) -> str:
    """A queued trial of a search that was asked for on a device."""
    with writing(engine) as session:
        params = {"search_id": "job_search", "number": 0, "runs": [], "request": {"device": device}}
        return create_job(session, "trial", None, params, None).id


def somebody_holds(engine: Engine, device: str) -> None:
    with writing(engine) as session:
        assert take_lease(session, f"trainer:{socket.gethostname()}:{device}", "somebody", 60) is not None


def state(engine: Engine, job_id: str) -> str:
    with reading(engine) as session:
        return session.get_one(Job, job_id).state


def test_a_trial_for_the_cpu_does_not_wait_for_the_gpu(
    engine: Engine, started: list[tuple[str, str]]
) -> None:
    somebody_holds(engine, "0")
    waiting, running = trial(engine, "auto"), trial(engine, "cpu")
    for job_id in (waiting, running):
        supervise.run_job(job_id)
    assert started == [(running, "cpu")]
    assert (state(engine, waiting), state(engine, running)) == ("queued", "running")


def test_a_trial_for_the_gpu_does_not_wait_for_the_cpu(
    engine: Engine, started: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody_holds(engine, "cpu")
    waiting, running = trial(engine, "cpu"), trial(engine, "cuda")
    for job_id in (waiting, running):
        supervise.run_job(job_id)
    assert started == [(running, "0")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # without a GPU it says so at once, CPU or no CPU
    hopeless = trial(engine, "cuda")
    supervise.run_job(hopeless)
    assert started[1:] == [(hopeless, "cuda")]
