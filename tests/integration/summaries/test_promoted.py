"""A corpus's promoted adapter summarizes where nobody else is named; the one that classifies stays what it is."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from app.cli.main import build
from app.db.session import writing
from app.db.tables import Adapter, AuditLog, Corpus
from app.http.security import create_api_key, forget_credentials
from tests.api import bearer
from tests.integration.summaries.conftest import LETTER


def promote(client, adapter_id, **body):
    path = f"/adapters/{adapter_id}"
    return client.post(f"{path}/promote", json=body, headers={"If-Match": client.get(path).headers["ETag"]})


def summarize(client, **body):
    return client.post("/summarize", json={"text": LETTER, "method": "abstractive", **body})


def problem(answer):
    found = answer.json()
    return answer.status_code, found["type"].rsplit(":", 1)[1], found.get("field")


@pytest.fixture
def classifier(world):
    """An adapter that classifies, promoted in the same corpus; its id."""
    with writing() as session:
        summarizer = session.get_one(Adapter, world.adapter_id)
        row = Adapter(
            id="adp_classifies", corpus_id=world.built.corpus_id, task="classify", name="reads", base_model="minilm", option_keys=[],
            digest="e" * 64, blob_digest=summarizer.blob_digest, manifest={},
        )  # fmt: skip
        session.add(row)
        session.flush()
        session.get_one(Corpus, world.built.corpus_id).promoted_adapter_id = row.id
    return row.id


def test_the_promoted_adapter_writes_for_its_corpus(client, world, classifier):
    assert problem(summarize(client, corpus="judgments")) == (409, "no-promoted-adapter", "/corpus")
    assert problem(summarize(client)) == (422, "adapter-missing", "/adapter")
    assert problem(summarize(client, corpus="nothing")) == (404, "not-found", "/corpus")
    answer = promote(client, world.adapter_id, reason="The best of three.")
    assert (answer.status_code, answer.json()["promoted"]) == (200, True), answer.text
    corpus = client.get("/corpora/judgments").json()
    assert (corpus["promoted_adapter_id"], corpus["promoted_summarizer_id"]) == (classifier, world.adapter_id)
    assert {item["id"]: item["promoted"] for item in client.get("/adapters").json()["items"]} == {
        classifier: True,
        world.adapter_id: True,
    }
    assert summarize(client, corpus="judgments").json()["model"]["adapter"] == world.adapter_id
    with writing() as session:
        logged = session.query(AuditLog).filter_by(action="adapter.promote").one()
        assert (logged.object_id, logged.detail["before"]) == (world.adapter_id, None)
        assert logged.detail["reason"] == "The best of three."
        _, scoped = create_api_key(session, "rita", "reader", world.built.corpus_id)
    forget_credentials()
    own = client.post("/summarize", json={"text": LETTER, "method": "abstractive"}, headers=bearer(scoped))
    assert own.json()["model"]["adapter"] == world.adapter_id
    home = client.get("/").text
    assert f'Summarized by <a href="/reports/{world.adapter_id}">short</a> by default' in home
    report = client.get(f"/reports/{world.adapter_id}").text
    assert "in use" in report
    assert "The best of three." in report


def test_a_job_keeps_to_the_adapter_that_was_promoted_when_it_was_asked_for(client, world, summarized):
    missing = client.post("/summary-jobs", json={"corpus": "judgments", "method": "abstractive"})
    assert problem(missing) == (409, "no-promoted-adapter", "/corpus")
    promote(client, world.adapter_id)
    job = summarized(method="abstractive", max_words=20)
    assert (job.state, job.params["adapter"]) == ("succeeded", world.adapter_id)
    assert client.get("/summary-runs").json()["items"][0]["adapter_id"] == world.adapter_id


def test_what_cannot_be_promoted_or_belongs_to_other_methods_is_said(client, world):
    with writing() as session:
        session.get_one(Adapter, world.adapter_id).task = "causal"
    assert problem(promote(client, world.adapter_id)) == (409, "wrong-task", "adapter_id")
    refused = summarize(client, adapter=world.adapter_id)
    assert problem(refused) == (409, "wrong-task", "/adapter")
    assert (
        "made to write on from a prompt, not to summarize: POST /generate writes with it"
        in refused.json()["detail"]
    )
    assert problem(summarize(client, method="lead", corpus="judgments")) == (422, "other-method", "/corpus")


def test_what_is_promoted_goes_with_its_adapter_and_its_corpus(client, world):
    promote(client, world.adapter_id)
    etag = client.get("/corpora/judgments").headers["ETag"]
    assert client.delete("/corpora/judgments", headers={"If-Match": etag}).status_code == 204


def test_on_the_terminal(client, world, monkeypatch):
    @contextmanager
    def connect(timeout=60.0):
        yield client

    for module in ("summarize", "client"):
        monkeypatch.setattr(f"app.cli.{module}.connect", connect)

    def remand(*words):
        return CliRunner().invoke(build(), list(words)).output

    assert "has no promoted adapter of the task summarize" in remand(
        "summarize", "He paid.", "--corpus", "judgments"
    )
    assert f"{world.adapter_id} is promoted." in remand("adapters", "promote", world.adapter_id)
    assert world.adapter_id in remand("summarize", "He paid.", "--corpus", "judgments")
    assert "belongs" not in remand("summarize", "--corpus", "judgments", "--method", "abstractive", "--json")
