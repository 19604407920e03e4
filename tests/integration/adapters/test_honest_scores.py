"""An adapter whose search was not nested, in front of the gate of a corpus that serves one with an honest score."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.adapters.promoting import promote, promote_if_better
from app.blobs import BlobStore
from app.corpora.queries import lock_corpus
from app.db.session import writing
from app.db.tables import Adapter, AuditLog
from app.settings import get_settings
from tests.api import client_of_an_admin
from tests.evidence import two_adapters
from tests.integration.review_corpus import Built, reviewed_corpus


@pytest.fixture
def built(engine: Engine) -> Built:
    return reviewed_corpus(engine)


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with client_of_an_admin(engine) as client:
        yield client


def test_it_is_not_promoted_by_itself_but_by_a_person_who_says_why(
    client: TestClient, engine: Engine, built: Built
) -> None:
    better, promoted = two_adapters(engine, built)
    with writing(engine) as session:
        corpus = lock_corpus(session, built.corpus_id)
        promote(session, corpus, session.get_one(Adapter, promoted), "ada", "The first.")
        adapter = session.get_one(Adapter, better)
        adapter.report = adapter.report | {"search": {"nested": False, "trials": []}}
    with writing(engine) as session:
        adapter = session.get_one(Adapter, better)
        decision = promote_if_better(
            session, built.corpus_id, adapter, "train job", BlobStore(get_settings().blob_root)
        )
    assert not decision.promoted
    assert "search that was not nested" in decision.reason
    path = f"/adapters/{better}"
    kept = client.get(f"{path}/report").json()["gate"][0]
    assert {check["name"]: check["passed"] for check in kept["checks"]}["honest-score"] is False
    page = client.get(f"/reports/{better}", headers={"Accept": "text/html"})
    assert "search that was not nested" in page.text
    asked = {"override": True, "reason": "Also better on the archive."}
    etag = {"If-Match": client.get(path).headers["ETag"]}
    refused = client.post(f"{path}/promote", headers=etag)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:remand:problem:gate-not-passed")
    assert client.post(f"{path}/promote", json=asked, headers=etag).json()["promoted"]
    with writing(engine) as session:
        logged = session.query(AuditLog).filter_by(action="adapter.promote", object_id=better).one()
        assert logged.detail["override"]
        assert "honest-score" in logged.detail["failed"]
