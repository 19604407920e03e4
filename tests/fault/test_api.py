"""An api that is killed after a request was accepted, and while somebody follows a job."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from app.cli.following import job_events
from app.db.session import engine_for, writing
from app.http.security import create_api_key
from tests.fault.test_jobs import STEPS, assert_one_result, held
from tests.fault.world import World, until

pytestmark = pytest.mark.fault


@pytest.fixture
def client(world: World) -> httpx.Client:
    """A client of the api process, with an admin key."""
    with writing(engine_for(world.database_url)) as session:
        _key, secret = create_api_key(session, "ada", "admin")
    world.start("api")
    client = httpx.Client(
        base_url=world.api_url, headers={"Authorization": f"Bearer {secret}"}, trust_env=False
    )
    until("an answer of the api", lambda: answers(client))
    return client


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").is_success
    except httpx.TransportError:
        return False


def test_an_accepted_job_outlives_the_api_and_a_repeated_request_gets_the_same_one(
    world: World, client: httpx.Client, model: str
) -> None:
    world.kill("dispatcher")  # so that the job is still queued when the api dies
    body = {"corpus": "letters", "base_model": model, "folds": 2, "epochs": 1}
    headers = {"Idempotency-Key": "one-job-only"}
    accepted = client.post("/train-jobs", json=body, headers=headers)
    assert accepted.status_code == 202, accepted.text
    world.kill("api")
    world.start("api")
    until("an answer of the api", lambda: answers(client))
    again = client.post("/train-jobs", json=body, headers=headers)
    assert again.json() == accepted.json()
    assert client.post(f"{accepted.headers['Location']}/cancel").json()["state"] == "cancelled"
    assert len(world.rows("SELECT id FROM jobs WHERE id = %s", accepted.json()["id"])) == 1
    world.start("dispatcher")


def test_whoever_follows_a_job_misses_nothing_of_it(
    world: World, client: httpx.Client, tmp_path: Path
) -> None:
    job_id, _pid = held(world, tmp_path / "gate")
    told: list[str] = []
    follower = threading.Thread(
        target=lambda: told.extend(kind for kind, _data in job_events(client, f"/jobs/{job_id}/events"))
    )
    follower.start()
    world.kill("api")
    (tmp_path / "gate").touch()
    assert_one_result(world, job_id)
    world.start("api")
    follower.join(60)
    assert told == [event["kind"] for event in world.events(job_id)]
    assert told.count("checkpoint") == STEPS
