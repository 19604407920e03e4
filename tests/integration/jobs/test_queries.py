"""Jobs in a real Postgres: claims, fences, attempts, events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine, text

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs import leases
from app.jobs.queries import create_job, events_after, finish, get_job, request_cancel, save_checkpoint
from app.jobs.rules import LeaseLost, State


@pytest.fixture
def job_id(engine: Engine) -> str:
    with writing(engine) as session:
        return create_job(session, "train", None, {"folds": 3}, "ada").id


def read(engine: Engine, job_id: str) -> Job:
    with reading(engine) as session:
        job = get_job(session, job_id)
        assert job is not None
        return job


def claim(engine: Engine, job_id: str, owner: str = "one") -> leases.Claim | None:
    with writing(engine) as session:
        return leases.claim(session, job_id, owner, 30)


def expire(engine: Engine, job_id: str) -> None:
    with writing(engine) as session:
        session.execute(
            text("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = :id"), {"id": job_id}
        )


def release(engine: Engine, job_id: str, fence: int, *, counted: bool = True) -> State:
    with writing(engine) as session:
        return leases.release(
            session,
            job_id,
            fence,
            code="child-died",
            reason="it died.",
            counted=counted,
            max_attempts=3,
            last_words="KeyError (at fold.py:3 run)",
        )


def kinds(engine: Engine, job_id: str) -> list[str]:
    with reading(engine) as session:
        events = events_after(session, job_id, 0)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        return [event.kind for event in events]


def test_a_new_job_is_announced_at_commit(engine: Engine, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as listener:
        listener.execute("LISTEN remand_jobs")
        with writing(engine) as session:
            job_id = create_job(session, "import", None, {}, None).id
            assert list(listener.notifies(timeout=0.05)) == []
        heard = [notice.payload for notice in listener.notifies(timeout=10, stop_after=1)]
    assert heard == [job_id]
    assert kinds(engine, job_id) == ["queued"]


def test_a_rolled_back_request_leaves_no_job(engine: Engine) -> None:
    def request() -> None:
        with writing(engine) as session:
            create_job(session, "import", None, {}, None)
            raise RuntimeError("the api failed")

    with pytest.raises(RuntimeError, match="the api failed"):
        request()
    with reading(engine) as session:
        assert session.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0


def test_of_many_claims_one_wins(engine: Engine, job_id: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = [found for found in pool.map(lambda n: claim(engine, job_id, str(n)), range(8)) if found]
    assert [(found.fence, found.kind) for found in won] == [(1, "train")]
    job = read(engine, job_id)
    assert (job.state, job.attempts, job.attempts_since_checkpoint) == ("running", 1, 1)
    assert kinds(engine, job_id) == ["queued", "started"]


def test_an_expired_lease_that_nobody_took_may_be_renewed(engine: Engine, job_id: str) -> None:
    assert claim(engine, job_id)
    expire(engine, job_id)
    with writing(engine) as session:
        assert leases.renew(session, job_id, 1, 30) == leases.Hold(cancel_requested=False)
        assert leases.release_expired(session, 3) == []


def test_the_old_fence_writes_nothing_after_the_lease_was_taken(engine: Engine, job_id: str) -> None:
    assert claim(engine, job_id)
    expire(engine, job_id)
    with writing(engine) as session:
        assert leases.release_expired(session, 3) == [(job_id, State.QUEUED)]
    assert claim(engine, job_id, "two")
    with writing(engine) as session:
        assert leases.renew(session, job_id, 1, 30) is None
    with pytest.raises(LeaseLost), writing(engine) as session:
        finish(session, job_id, 1, State.SUCCEEDED, result={})
    with writing(engine) as session:
        finish(session, job_id, 2, State.SUCCEEDED, result={"n": 1})
    assert read(engine, job_id).result == {"n": 1}
    assert kinds(engine, job_id) == ["queued", "started", "requeued", "started", "succeeded"]


def test_a_locked_row_is_alive_and_not_expired(engine: Engine, job_id: str) -> None:
    assert claim(engine, job_id)
    expire(engine, job_id)
    with writing(engine) as writer:
        writer.get(Job, job_id, with_for_update=True)
        with writing(engine) as dispatcher:
            assert leases.release_expired(dispatcher, 3) == []


def test_attempts_end_after_three_without_a_checkpoint(engine: Engine, job_id: str) -> None:
    states = []
    for fence in (1, 2, 3):
        assert claim(engine, job_id)
        with writing(engine) as session:
            session.execute(
                text("""UPDATE jobs SET progress = '{"stage": "fold 2 of 5"}' WHERE id = :id"""),
                {"id": job_id},
            )
        states.append(release(engine, job_id, fence))
    assert states == [State.QUEUED, State.QUEUED, State.FAILED]
    error = read(engine, job_id).error
    assert error is not None
    assert (error["code"], error["cause"]) == ("attempts-exhausted", "child-died")
    assert (
        "failed 3 times at the stage “fold 2 of 5” and got no further. The last time: it died."
        in error["detail"]
    )
    assert f"with the id {job_id}" in error["detail"]
    assert "KeyError" not in error["detail"]
    assert error["last_words"] == "KeyError (at fold.py:3 run)"


def test_only_a_new_checkpoint_makes_attempts_count_anew(engine: Engine, job_id: str) -> None:
    counts = []
    for fence, checkpoint in ((1, {"fold": 0}), (2, {"fold": 0}), (3, {"fold": 1})):
        assert claim(engine, job_id)
        with writing(engine) as session:
            save_checkpoint(session, job_id, fence, checkpoint)
        counts.append(read(engine, job_id).attempts_since_checkpoint)
        release(engine, job_id, fence)
    assert counts == [0, 1, 0]
    assert kinds(engine, job_id).count("checkpoint") == 2


def test_a_shutdown_gives_the_attempt_back(engine: Engine, job_id: str) -> None:
    assert claim(engine, job_id)
    assert release(engine, job_id, 1, counted=False) is State.QUEUED
    job = read(engine, job_id)
    assert (job.attempts, job.attempts_since_checkpoint, job.rung_at) == (0, 0, None)


def test_cancelling_twice_is_cancelling_once(engine: Engine, job_id: str) -> None:
    for _ in range(2):
        with writing(engine) as session:
            request_cancel(session, job_id)
    assert read(engine, job_id).state == "cancelled"
    assert kinds(engine, job_id) == ["queued", "cancelled"]
    assert claim(engine, job_id) is None


def test_a_cancelled_running_job_ends_when_its_attempt_ends(engine: Engine, job_id: str) -> None:
    assert claim(engine, job_id)
    with writing(engine) as session:
        request_cancel(session, job_id)
    with writing(engine) as session:
        assert leases.renew(session, job_id, 1, 30) == leases.Hold(cancel_requested=True)
    assert release(engine, job_id, 1) is State.CANCELLED


def test_jobs_are_rung_once_until_the_pause_is_over(engine: Engine, job_id: str) -> None:
    def to_ring(pause: float) -> list[tuple[str, str]]:
        with writing(engine) as session:
            return leases.take_rings(session, pause)

    job = ("train", job_id)
    assert to_ring(15) == [job]
    assert to_ring(15) == []
    assert to_ring(0) == [job]
    with writing(engine) as session:
        leases.give_rings_back(session, [job_id])
    assert to_ring(15) == [job]
    with writing(engine) as session:
        leases.ring_trainers(session)
    assert to_ring(15) == [job]


def test_a_named_lease_has_one_holder_and_grows_its_fence(engine: Engine) -> None:
    def take(owner: str, seconds: float = 30) -> int | None:
        with writing(engine) as session:
            return leases.take_lease(session, "dispatcher", owner, seconds)

    assert [take("one"), take("two"), take("one")] == [1, None, 1]
    with writing(engine) as session:
        leases.give_lease_back(session, "dispatcher", "one")
    assert [take("two"), take("one")] == [2, None]
