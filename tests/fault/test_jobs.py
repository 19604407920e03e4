"""A job outlives the death of every process that carries it: one result, every step once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.fault.world import World, until

pytestmark = pytest.mark.fault

STEPS = 6


def assert_one_result(world: World, job_id: str) -> None:
    """Succeeded once, every step written once, events numbered without gaps."""
    job = world.ended(job_id)
    assert (job["state"], job["result"]) == ("succeeded", {"steps": STEPS})
    assert world.steps(job_id) == list(range(STEPS))
    events = world.events(job_id)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert [event["kind"] for event in events].count("succeeded") == 1


def held(world: World, gate: Path) -> tuple[str, int]:
    """A probe job that holds in its middle, and the process id of its child."""
    job_id = world.probe(steps=STEPS, hold_at=3, gate=str(gate))
    return job_id, world.event(job_id, "holding")["data"]["pid"]


def test_a_killed_child_is_started_again_from_its_checkpoint(world: World, tmp_path: Path) -> None:
    job_id, pid = held(world, tmp_path / "gate")
    os.kill(pid, signal.SIGKILL)
    assert world.event(job_id, "requeued")["data"]["code"] == "child-died"
    world.event(job_id, "holding", count=2)
    assert world.steps(job_id) == [0, 1, 2]
    (tmp_path / "gate").touch()
    assert_one_result(world, job_id)
    assert world.job(job_id)["attempts"] == 2


def test_a_killed_jobs_worker_takes_its_child_along_and_another_goes_on(world: World, tmp_path: Path) -> None:
    job_id, pid = held(world, tmp_path / "gate")
    world.kill("jobs")
    until("the end of the orphan", lambda: not psutil.pid_exists(pid))
    assert world.event(job_id, "requeued")["data"]["code"] == "lease-expired"
    (tmp_path / "gate").touch()
    world.start("jobs")
    assert_one_result(world, job_id)


def test_a_killed_dispatcher_loses_no_job(world: World, tmp_path: Path) -> None:
    job_id, _pid = held(world, tmp_path / "gate")
    world.kill("dispatcher")
    second = world.probe(steps=STEPS)
    (tmp_path / "gate").touch()
    assert_one_result(world, job_id)
    assert world.job(second)["state"] == "queued"
    world.start("dispatcher")
    assert_one_result(world, second)


def test_a_killed_redis_loses_no_job(world: World, tmp_path: Path) -> None:
    job_id, _pid = held(world, tmp_path / "gate")
    world.kill("redis")
    second = world.probe(steps=STEPS)
    (tmp_path / "gate").touch()
    assert_one_result(world, job_id)
    world.start("redis")
    assert_one_result(world, second)


def test_a_killed_postgres_loses_no_job(world: World, tmp_path: Path) -> None:
    job_id, _pid = held(world, tmp_path / "gate")
    world.kill("postgres")
    (tmp_path / "gate").touch()
    world.start("postgres")
    second = world.probe(steps=STEPS)
    assert_one_result(world, job_id)
    assert_one_result(world, second)


def test_an_orderly_shutdown_gives_the_job_back_without_counting(world: World, tmp_path: Path) -> None:
    job_id, pid = held(world, tmp_path / "gate")
    assert world.stop("jobs") == 0
    assert not psutil.pid_exists(pid)
    job = world.job(job_id)
    assert (job["state"], job["attempts"]) == ("queued", 0)
    assert world.event(job_id, "requeued")["data"]["code"] == "shutdown"
    (tmp_path / "gate").touch()
    world.start("jobs")
    assert_one_result(world, job_id)


def test_cancel_ends_a_running_job(world: World, tmp_path: Path) -> None:
    from app.db.session import engine_for, writing
    from app.jobs.queries import request_cancel

    job_id, pid = held(world, tmp_path / "gate")
    with writing(engine_for(world.database_url)) as session:
        request_cancel(session, job_id)
    assert world.ended(job_id)["state"] == "cancelled"
    until("the end of the child", lambda: not psutil.pid_exists(pid))
    assert world.steps(job_id) == [0, 1, 2]


def test_a_job_that_kills_its_child_every_time_fails_with_the_reason(world: World) -> None:
    job_id = world.probe(steps=STEPS, die=2)
    job = world.ended(job_id)
    assert (job["state"], job["error"]["code"], job["error"]["cause"]) == (
        "failed",
        "attempts-exhausted",
        "child-died",
    )
    assert "SIGKILL" in job["error"]["detail"]
    assert world.steps(job_id) == [0, 1]


def test_a_job_that_fails_by_itself_is_not_tried_again(world: World) -> None:
    job_id = world.probe(steps=STEPS, fail=1)
    job = world.ended(job_id)
    assert (job["state"], job["attempts"]) == ("failed", 1)
    assert job["error"] == {"code": "probe-failed", "detail": "step 1 was told to fail"}
