"""Jobs over HTTP: list, get, follow, cancel."""

from __future__ import annotations

import threading

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.http.security import create_api_key
from app.jobs import leases
from app.jobs.queries import append_event, create_job, finish
from app.jobs.rules import State
from tests.integration.jobs.sse import frames


def make(engine: Engine, kind: str = "train") -> str:
    with writing(engine) as session:
        return create_job(session, kind, None, {"n": 1}, "ada").id


def ended(engine: Engine) -> str:
    """A job with the events queued, started, epoch, succeeded."""
    job_id = make(engine)
    with writing(engine) as session:
        leases.claim(session, job_id, "w", 30)
        append_event(session, job_id, "epoch", {"loss": 0.5})
        finish(session, job_id, 1, State.SUCCEEDED, result={"adapter_id": "adp_1"})
    return job_id


def test_a_job_says_how_it_stands_and_where_to_go_on(client: TestClient, engine: Engine) -> None:
    job_id = ended(engine)
    job = client.get(f"/train-jobs/{job_id}").json()
    assert (job["state"], job["result"], job["attempts"]) == ("succeeded", {"adapter_id": "adp_1"}, 1)
    assert job["links"]["events"] == f"/train-jobs/{job_id}/events"
    assert client.get(f"/jobs/{job_id}").json() == job


def test_a_job_of_another_kind_is_not_found(client: TestClient, engine: Engine) -> None:
    answer = client.get(f"/train-jobs/{make(engine, 'import')}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:remand:problem:not-found")


def test_listing_pages_through_every_job_once(client: TestClient, engine: Engine) -> None:
    made = [make(engine) for _ in range(5)]
    make(engine, "import")
    seen, cursor = [], None
    while True:
        page = client.get("/train-jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert len(client.get("/jobs").json()["items"]) == 6


def test_a_cursor_of_another_listing_is_refused(client: TestClient, engine: Engine) -> None:
    for _ in range(2):
        make(engine)
    cursor = client.get("/train-jobs?limit=1").json()["next_cursor"]
    answer = client.get("/train-jobs", params={"state": "queued", "cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_events_come_with_their_numbers_and_go_on_where_one_left(client: TestClient, engine: Engine) -> None:
    path = f"/train-jobs/{ended(engine)}/events"
    with client.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = list(frames(answer.iter_lines()))
    assert [(frame["id"], frame["event"]) for frame in told] == [
        ("1", "queued"), ("2", "started"), ("3", "epoch"), ("4", "succeeded"),
    ]  # fmt: skip
    assert told[2]["data"]["data"] == {"loss": 0.5}
    with client.stream("GET", path, headers={"Last-Event-ID": "2"}) as answer:
        assert [frame["id"] for frame in frames(answer.iter_lines())] == ["3", "4"]
    assert client.get(path, headers={"Last-Event-ID": "4"}).status_code == 204
    assert client.get(path, headers={"Last-Event-ID": "four"}).status_code == 422


def test_a_listener_hears_of_the_end(client: TestClient, engine: Engine) -> None:
    job_id = make(engine)
    told: list[str] = []

    def follow() -> None:
        with client.stream("GET", f"/train-jobs/{job_id}/events") as answer:
            told.extend(frame["event"] for frame in frames(answer.iter_lines()))

    listener = threading.Thread(target=follow)
    listener.start()
    assert client.post(f"/train-jobs/{job_id}/cancel").status_code == 202
    listener.join(60)
    assert told == ["queued", "cancelled"]


@pytest.mark.parametrize("path", ["/train-jobs/job_none", "/train-jobs/job_none/events"])
def test_an_unknown_job_is_a_problem(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_only_admins_cancel(client: TestClient, engine: Engine) -> None:
    with writing(engine) as session:
        _key, secret = create_api_key(session, "rita", "reader")
    answer = client.post(f"/train-jobs/{make(engine)}/cancel", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 403
