"""The dispatcher's look at the jobs: one leads, rings are noted once they are out, expired attempts end."""

from __future__ import annotations

import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, text

from app.db.session import reading, writing
from app.db.tables import Job
from app.jobs import leases
from app.jobs.queries import create_job
from app.settings import Settings, get_settings
from workers.dispatch import Dispatcher


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the jobs that Celery was told of."""
    told: list[str] = []
    monkeypatch.setattr("workers.dispatch.ring", lambda _kind, job_id: told.append(job_id))
    return told


@pytest.fixture
def settings(engine: Engine) -> Settings:
    return get_settings()


def make(engine: Engine) -> str:
    with writing(engine) as session:
        return create_job(session, "import", None, {}, None).id


def state(engine: Engine, job_id: str) -> str:
    with reading(engine) as session:
        return session.get_one(Job, job_id).state


def claimed_and_expired(engine: Engine) -> str:
    job_id = make(engine)
    with writing(engine) as session:
        leases.claim(session, job_id, "dead", 30)
        session.execute(
            text("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = :id"), {"id": job_id}
        )
    return job_id


def test_one_dispatcher_leads_and_another_follows_until_it_resigns(
    engine: Engine, settings: Settings, rung: list[str]
) -> None:
    leader, follower = Dispatcher(settings), Dispatcher(settings)
    leader.step()
    job_id = make(engine)
    follower.step()
    assert rung == []
    leader.step()
    leader.step()
    assert rung == [job_id]
    leader.stop()
    leader.run()
    second = make(engine)
    follower.step()
    assert rung == [job_id, second]


def test_a_lost_broker_leaves_jobs_to_be_rung_later(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make(engine), make(engine)]
    told: list[str] = []

    def once(_kind: str, job_id: str) -> None:
        if told:
            raise OperationalError("gone")
        told.append(job_id)

    monkeypatch.setattr("workers.dispatch.ring", once)
    dispatcher = Dispatcher(settings)
    dispatcher.step()
    monkeypatch.setattr("workers.dispatch.ring", lambda _kind, job_id: told.append(job_id))
    dispatcher.step()
    assert told == jobs


def test_an_expired_attempt_ends_and_is_rung_in_the_same_look(
    engine: Engine, settings: Settings, rung: list[str]
) -> None:
    job_id = claimed_and_expired(engine)
    Dispatcher(settings).step()
    assert (state(engine, job_id), rung) == ("queued", [job_id])


def test_after_a_lost_connection_workers_may_renew_first(
    engine: Engine, settings: Settings, rung: list[str]
) -> None:
    job_id = claimed_and_expired(engine)
    dispatcher = Dispatcher(settings)
    dispatcher.connect()
    dispatcher.step()
    with writing(engine) as session:
        assert leases.renew(session, job_id, 1, 30) == leases.Hold(cancel_requested=False)
    dispatcher.stop()
    dispatcher.run()
    assert (state(engine, job_id), rung) == ("running", [])
