"""What a child process sees of its job: transactions under its fence, events, checkpoints, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs import leases
from app.jobs.queries import create_job, events_after
from app.jobs.rules import LeaseLost
from workers.job_context import (
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_LEASE_LOST,
    EXIT_STOPPED,
    JobContext,
    JobFailed,
    JobStopped,
    run_attempt,
)
from workers.stopping import StopFlag


@pytest.fixture
def job_id(engine: Engine) -> str:
    """A job that is running under fence 1."""
    with writing(engine) as session:
        job_id = create_job(session, "import", None, {"n": 1}, "ada").id
        leases.claim(session, job_id, "w", 30)
    return job_id


def row(engine: Engine, job_id: str) -> Job:
    with reading(engine) as session:
        return session.get_one(Job, job_id)


def kinds(engine: Engine, job_id: str) -> list[str]:
    with reading(engine) as session:
        return [event.kind for event in events_after(session, job_id, 0)]


def take_over(engine: Engine, job_id: str) -> None:
    with writing(engine) as session:
        leases.release(session, job_id, 1, code="x", reason="x", counted=True, max_attempts=9)
        leases.claim(session, job_id, "other", 30)


def test_what_is_written_in_a_block_is_there_whole_or_not_at_all(engine: Engine, job_id: str) -> None:
    context = JobContext(job_id, 1)

    def broken() -> None:
        with context.fenced() as session:
            context.emit("half", {})
            context.save_checkpoint({"at": 1}, session)
            context.progress(done=1)
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        broken()
    assert kinds(engine, job_id) == ["queued", "started"]
    assert row(engine, job_id).checkpoint is None
    with context.fenced() as session:
        context.emit("whole", {})
        context.succeed(session, {"done": True})
    assert kinds(engine, job_id) == ["queued", "started", "whole", "succeeded"]


def test_the_commit_of_a_block_prolongs_the_lease(engine: Engine, job_id: str) -> None:
    with writing(engine) as session:
        session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 h'"))
    with JobContext(job_id, 1).fenced():
        pass
    with writing(engine) as session:
        assert leases.release_expired(session, 3) == []


def test_nothing_is_written_under_an_old_fence(engine: Engine, job_id: str) -> None:
    context = JobContext(job_id, 1)
    take_over(engine, job_id)
    before = kinds(engine, job_id)
    writes: tuple[Callable[[], object], ...] = (
        lambda: context.emit("late", {}),
        lambda: context.save_checkpoint({"at": 9}),
        lambda: context.progress(done=9),
        lambda: context.fail(JobFailed("late", "too late")),
        lambda: context.transaction(lambda session: context.succeed(session, {})),
    )
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    assert kinds(engine, job_id) == before
    assert (row(engine, job_id).checkpoint, row(engine, job_id).progress) == (None, {})


def test_two_threads_may_tell_at_once(engine: Engine, job_id: str) -> None:
    context = JobContext(job_id, 1)
    with context.fenced():
        teller = threading.Thread(target=lambda: context.emit("aside", {}))
        teller.start()
        context.emit("inside", {})
    teller.join(30)
    assert kinds(engine, job_id) == ["queued", "started", "inside", "aside"]


def _succeed(context: JobContext) -> None:
    with context.fenced() as session:
        context.succeed(session, {"n": context.params["n"]})


def _fail(_context: JobContext) -> None:
    raise JobFailed("no-rows", "The file has no rows.", line=3)


def _stop(context: JobContext) -> None:
    assert context.stop_reason() == "shutdown"
    raise JobStopped


def _break(_context: JobContext) -> None:
    raise ValueError("could not read 'Dear judge, I regret'")


@pytest.mark.parametrize(
    ("body", "status", "state"),
    [
        (_succeed, EXIT_DONE, "succeeded"),
        (_fail, EXIT_DONE, "failed"),
        (_stop, EXIT_STOPPED, "running"),
        (_break, EXIT_BROKEN, "running"),
    ],
)
def test_how_an_attempt_ends(
    engine: Engine,
    job_id: str,
    capsys: pytest.CaptureFixture[str],
    body: Callable[[JobContext], None],
    status: int,
    state: str,
) -> None:
    flag = StopFlag()
    flag.stop()
    assert run_attempt(job_id, 1, body, flag) == status
    job = row(engine, job_id)
    assert job.state == state
    if state == "failed":
        assert job.error == {"code": "no-rows", "detail": "The file has no rows.", "line": 3}
    told = capsys.readouterr().err
    assert "regret" not in told
    assert ("ValueError (at test_context.py" in told) is (status == EXIT_BROKEN)


def test_an_attempt_that_was_taken_over_ends_quietly(engine: Engine, job_id: str) -> None:
    def body(context: JobContext) -> None:
        take_over(engine, job_id)
        context.emit("late", {})

    assert run_attempt(job_id, 1, body, StopFlag()) == EXIT_LEASE_LOST


def test_a_reason_in_words_is_kept_over_a_bare_signal() -> None:
    flag = StopFlag()
    assert flag.reason() is None
    flag.stop("cancel")
    flag.stop()
    assert flag.reason() == "cancel"
