"""POST /relabel-jobs, rankings and predictions over HTTP, and the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.db.session import writing
from app.db.tables import Adapter, Corpus
from app.ids import new_id
from tests.integration.relabel.world import PER_CASE, adapter_row

CORPUS = "synthetic letters"
pytestmark = pytest.mark.usefixtures("plain_score")


@pytest.fixture
def client(world) -> Iterator[TestClient]:
    from app.http.security import create_api_key, forget_credentials
    from app.main import create_app

    forget_credentials()
    with writing() as session:
        _, secret = create_api_key(session, "ada", "admin")
    with TestClient(create_app()) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


def test_a_job_is_made_run_and_read(client, world, attempt):
    accepted = client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id})
    assert accepted.status_code == 202
    job_id = accepted.json()["id"]
    assert accepted.headers["location"] == f"/relabel-jobs/{job_id}"
    attempt(job_id)
    job = client.get(f"/relabel-jobs/{job_id}").json()
    assert job["state"] == "succeeded"
    (ranking,) = client.get("/rankings", params={"corpus": CORPUS}).json()["items"]
    assert ranking["id"] == job["result"]["ranking"]
    assert client.get(f"/rankings/{ranking['id']}").json() == ranking
    items = client.get("/label-disagreements", params={"corpus": CORPUS}).json()["items"]
    assert len(items) == ranking["flagged_cells"] > 0


def test_predictions_are_paged_and_found_by_text(client, world, attempt):
    job = attempt(
        client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id}).json()["id"]
    )
    found, cursor = [], None
    while True:
        query = {"limit": 50} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/corpora/{CORPUS}/predictions", params=query).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len({item["external_id"] for item in found}) == len(found) == 7 * PER_CASE
    assert set(found[0]["probabilities"]) == {"remorse", "family"}
    assert {item["text_version"] for item in found} == {1}
    of_text = client.get(f"/corpora/{CORPUS}/texts/{found[3]['text_id']}/predictions").json()
    assert [(item["run_id"], item["probabilities"]) for item in of_text] == [
        (job.result["run"], found[3]["probabilities"])
    ]


@pytest.mark.parametrize("look", ["predictions", "texts/{text}/predictions"])
def test_whoever_looked_at_predictions_does_not_decide_blind(client, world, attempt, look):
    attempt(client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id}).json()["id"])
    listed = client.get("/label-disagreements", params={"corpus": CORPUS, "blind": "true"}).json()["items"]
    place = f"/label-disagreements/{listed[0]['id']}"
    assert client.get(
        f"/corpora/{CORPUS}/{look.format(text=listed[0]['text_id'])}", params={"limit": 500}
    ).is_success
    etag = client.get(place, params={"blind": "true"}).headers["ETag"]
    decided = client.put(f"{place}/review", json={"value": "yes"}, headers={"If-Match": etag}).json()
    assert decided["history"][0]["shown"]["blind"] is False


def test_without_an_adapter_the_promoted_one_is_used(client, world):
    missing = client.post("/relabel-jobs", json={"corpus": CORPUS})
    assert (missing.status_code, missing.json()["type"]) == (409, "urn:remand:problem:no-promoted-adapter")
    with writing() as session:
        session.get_one(Corpus, world.built.corpus_id).promoted_adapter_id = world.adapter_id
    assert client.post("/relabel-jobs", json={"corpus": CORPUS}).json()["params"] == {
        "adapter": world.adapter_id
    }


def test_an_adapter_of_another_corpus_or_other_options_is_refused(client, world):
    with writing() as session:
        other = Corpus(id=new_id("cor"), name="other")
        session.add(other)
        session.flush()
        foreign = adapter_row(other.id, world.blob)
        strange = adapter_row(world.built.corpus_id, world.blob)
        strange.digest, strange.option_keys = "e" * 64, ["weather"]
        session.add_all([foreign, strange])
        session.flush()
        ids = foreign.id, strange.id
    slugs = [
        client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": found}).json()["type"]
        for found in ids
    ]
    assert slugs == ["urn:remand:problem:foreign-adapter", "urn:remand:problem:no-common-option"]


def test_the_same_idempotency_key_makes_one_job(client, world):
    body = {"corpus": CORPUS, "adapter": world.adapter_id}
    answers = [client.post("/relabel-jobs", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert len(client.get("/relabel-jobs").json()["items"]) == 1


NOT_THERE = {
    "/rankings/rnk_none": 404,
    "/rankings?corpus=none": 404,
    "/rankings?cursor=made-up": 422,
    "/corpora/none/predictions": 404,
    f"/corpora/{CORPUS}/predictions": 404,
    f"/corpora/{CORPUS}/predictions?run=run_none": 404,
    f"/corpora/{CORPUS}/texts/txt_999999/predictions": 404,
    f"/corpora/{CORPUS}/texts/dis_1/predictions": 404,
}


def test_what_is_not_there(client):
    assert {path: client.get(path).status_code for path in NOT_THERE} == NOT_THERE


def test_a_deleted_adapter_is_not_offered(client, world):
    with writing() as session:
        session.delete(session.get_one(Adapter, world.adapter_id))
    assert (
        client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id}).status_code == 404
    )
