"""A supervisor and its real child: pausing, hanging, slowness, want of memory. Each attempt is made in this process, without Celery."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs.kinds import KINDS, from_words
from app.jobs.queries import create_job, events_after
from app.settings import get_settings
from tests.fault.probe_job import TABLE
from tests.fault.world import until
from workers import host_memory
from workers.supervise import run_job

PROBES = {kind.name: kind for kind in from_words("drill=tests.fault.probe_job:trainer")}


pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def probes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Queues a drill (a trainer that only writes steps); a trainer is stuck after two seconds of silence."""
    for name, kind in PROBES.items():
        monkeypatch.setitem(KINDS, name, kind)  # type: ignore[arg-type]  # read-only to everybody else
    monkeypatch.setenv("REMAND_STUCK_SECONDS", "2")
    monkeypatch.setenv("REMAND_STUCK_FACTOR", "3")
    monkeypatch.setenv("REMAND_RENEW_SECONDS", "0.3")
    monkeypatch.setenv("REMAND_DEVICE", "cpu")
    monkeypatch.setenv("REMAND_TRAINER_NICE", "0")
    get_settings.cache_clear()
    with writing(engine) as session:
        session.execute(text(TABLE))

    def queue(**params: Any) -> str:
        with writing(engine) as session:
            return create_job(session, "drill", None, params, "ada").id

    yield queue
    get_settings.cache_clear()


def row(engine: Engine, job_id: str) -> Job:
    with reading(engine) as session:
        return session.get_one(Job, job_id)


def events(engine: Engine, job_id: str, kind: str) -> list[dict[str, Any]]:
    with reading(engine) as session:
        return [event.data for event in events_after(session, job_id, 0) if event.kind == kind]


def steps(engine: Engine, job_id: str) -> list[tuple[int, int]]:
    """(step, fence) of what the drill wrote."""
    with reading(engine) as session:
        query = text("SELECT step, fence FROM probe_steps WHERE job_id = :id ORDER BY step")
        return [tuple(found) for found in session.execute(query, {"id": job_id})]


def asked_while_running(job_id: str, held: Callable[[], Any], ask: Callable[[], Any]) -> None:
    """One attempt, in whose middle something is asked for by another thread."""

    def at_the_gate() -> None:
        until("the job holds", held)
        ask()

    asking = threading.Thread(target=at_the_gate)
    asking.start()
    run_job(job_id)
    asking.join(30)


def test_a_running_job_is_paused_frees_its_device_and_goes_on(
    engine: Engine, probes: Callable[..., str], client: TestClient, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job_id = probes(steps=4, hold_at=2, gate=str(gate))
    told: list[Any] = []
    asked_while_running(
        job_id,
        lambda: events(engine, job_id, "holding"),
        lambda: told.extend(client.post(f"/jobs/{job_id}/pause").json() for _ in range(2)),
    )
    assert [(job["state"], job["pause_requested"]) for job in told] == [("running", True)] * 2
    job = row(engine, job_id)
    assert (job.state, job.attempts, job.attempts_since_checkpoint, job.pause_requested) == (
        "paused",
        0,
        0,
        False,
    )
    other = probes(steps=1)
    run_job(job_id)  # a ring for a paused job does nothing
    run_job(other)
    assert (row(engine, job_id).state, row(engine, other).state) == ("paused", "succeeded")
    assert (get_settings().work_root / job_id).is_dir()
    gate.touch()
    assert client.post(f"/jobs/{job_id}/resume").json()["state"] == "queued"
    run_job(job_id)
    assert (row(engine, job_id).state, row(engine, job_id).attempts) == ("succeeded", 1)
    assert steps(engine, job_id) == [(0, 1), (1, 1), (2, 2), (3, 2)]
    kinds = [
        len(events(engine, job_id, kind)) for kind in ("pause_requested", "paused", "resumed", "requeued")
    ]
    assert kinds == [1, 1, 1, 0]


def test_a_pause_that_is_taken_back_in_time_leaves_the_job_running(
    engine: Engine, probes: Callable[..., str], client: TestClient
) -> None:
    job_id = probes(steps=1)
    with writing(engine) as session:
        session.execute(
            text("UPDATE jobs SET state = 'running', fence = 1, lease_owner = 'w' WHERE id = :id"),
            {"id": job_id},
        )
    assert client.post(f"/jobs/{job_id}/pause").json()["pause_requested"]
    assert not client.post(f"/jobs/{job_id}/resume").json()["pause_requested"]
    assert row(engine, job_id).state == "running"


def test_a_trainer_that_hangs_is_ended_with_its_stack_and_tried_again(
    engine: Engine, probes: Callable[..., str]
) -> None:
    job_id = probes(steps=3, hang_at=1)
    run_job(job_id)
    (stuck,) = events(engine, job_id, "stuck")
    assert stuck["stage"] == "hanging"
    assert stuck["seconds"] >= stuck["allowed_seconds"] >= 2
    assert any(line.startswith("probe_job.py") and line.endswith("_hang") for line in stuck["stack"])
    (again,) = events(engine, job_id, "requeued")
    assert again["code"] == "stuck"
    assert (row(engine, job_id).state, row(engine, job_id).attempts) == ("queued", 1)
    run_job(job_id)
    assert (row(engine, job_id).state, row(engine, job_id).attempts) == ("succeeded", 2)
    assert steps(engine, job_id) == [(0, 1), (1, 2), (2, 2)]


def test_a_trainer_that_is_slow_but_beats_is_left_alone_and_said_to_be_slow(
    engine: Engine, probes: Callable[..., str]
) -> None:
    job_id = probes(steps=5, slow_seconds=0.8, pace=100.0)  # five steps take twice as long as a silence may
    run_job(job_id)
    job = row(engine, job_id)
    assert (job.state, job.attempts) == ("succeeded", 1)
    assert job.progress["slow"] is True
    assert job.progress["per_second"] < 2 < job.progress["expected_per_second"] == 100
    assert 0 < job.progress["memory_bytes"] <= job.progress["peak_memory_bytes"]
    assert events(engine, job_id, "stuck") == []


def test_a_child_that_asks_for_too_much_memory_fails_at_once_with_the_reason(
    engine: Engine, probes: Callable[..., str]
) -> None:
    job_id = probes(steps=2, eat_at=1, eat_bytes=8 << 40)
    run_job(job_id)
    job = row(engine, job_id)
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "out-of-memory"
    assert job.error["peak_memory_bytes"] > 0
    assert job.error["limit_bytes"] <= 4 << 40


def test_a_child_that_the_kernel_killed_for_memory_is_not_tried_again(
    engine: Engine, probes: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.events").write_text("low 0\noom 2\noom_kill 2\noom_group_kill 0\n")
    (tmp_path / "memory.max").write_text("1073741824\n")
    monkeypatch.setattr(host_memory, "cgroup_folder", lambda: tmp_path)
    gate = tmp_path / "gate"
    job_id = probes(steps=2, hold_at=0, gate=str(gate), die=1)

    def killed() -> None:
        (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 3\noom_group_kill 0\n")
        gate.touch()

    asked_while_running(job_id, lambda: events(engine, job_id, "holding"), killed)
    job = row(engine, job_id)
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.error is not None
    assert (job.error["code"], job.error["limit_bytes"]) == ("out-of-memory", 1 << 30)
    assert "1.0 GiB" in job.error["detail"]


def test_a_child_that_was_killed_with_memory_to_spare_is_tried_again(
    engine: Engine, probes: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.events").write_text("oom_kill 2\n")
    monkeypatch.setattr(host_memory, "cgroup_folder", lambda: tmp_path)
    monkeypatch.setattr(host_memory, "NEARLY_NOTHING", 0.0)
    job_id = probes(steps=2, die=1)
    run_job(job_id)
    assert row(engine, job_id).state == "queued"
    assert events(engine, job_id, "requeued")[0]["code"] == "child-died"
