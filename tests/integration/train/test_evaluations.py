"""From two trained adapters to evidence: evaluations on splits that they have and have not seen, comparison, gate, card, pages."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.db.session import reading, writing
from app.db.tables import AuditLog, Evaluation, Job
from app.http.security import create_api_key
from app.jobs import leases
from tests.api import bearer
from tests.attempts import Run, exit_of_attempt, job_now
from tests.integration.review_corpus import Built
from tests.small_corpus import letters
from workers.evaluate import reading as evaluate_reading
from workers.evaluate.job import run as evaluate_run
from workers.job_context import EXIT_DONE, EXIT_STOPPED
from workers.neighbours import Surroundings
from workers.stopping import StopFlag
from workers.train import run as train_run

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass
class Trained:
    """The api, and two adapters that were trained on the split `train`: eight of ten letters."""

    client: TestClient
    engine: Engine
    first: str
    second: str

    def job(self, path: str, body: dict[str, Any], run: Run) -> Job:
        made = self.client.post(path, json=body)
        assert made.status_code == 202, made.text
        job_id = made.json()["id"]
        exit_of_attempt(job_id, run)
        return job_now(job_id)

    def evaluated(self, **body: Any) -> dict[str, Any]:
        job = self.job("/evaluations", {"corpus": "letters"} | body, evaluate_run)
        assert job.state == "succeeded", job.error
        document: dict[str, Any] = self.client.get(f"/evaluations/{job.id}/report").json()
        return document


@pytest.fixture
def trained(
    client: TestClient, engine: Engine, corpus: Built, allowed: Path, monkeypatch: pytest.MonkeyPatch
) -> Trained:
    with writing(engine) as session:
        session.execute(
            text("UPDATE texts SET given_split = CASE WHEN (ordinal / 2) % 5 = 0 THEN 'val' ELSE 'train' END")
        )
    # a process of its own, which other tests start for real
    monkeypatch.setattr("models.training.run.reload_check", lambda *_: 0.0)
    world = Trained(client, engine, "", "")
    request = {"corpus": "letters", "folds": 2, "epochs": 1, "base_model": str(allowed), "splits": ["train"]}
    for place, fields in (
        ("first", {"seed": 3}),
        ("second", {"seed": 4, "wide": False, "options": ["remorse"]}),
    ):
        job = world.job("/train-jobs", request | fields | {"name": place}, train_run)
        assert job.state == "succeeded", job.error
        assert job.result is not None
        setattr(world, place, job.result["adapter_id"])
    return world


def test_from_training_to_evidence(trained: Trained, tmp_path: Path) -> None:
    """One training for all of it: every part below reads what the ones before have made."""
    _a_split_it_has_not_seen(trained)
    _texts_it_was_trained_on(trained)
    _a_base_model_alone(trained)
    _stopped_and_taken_up(trained)
    _two_adapters(trained)
    _the_gate(trained)
    _forms(trained)
    _pages(trained)


def _a_split_it_has_not_seen(world: Trained) -> None:
    found = world.evaluated(adapter=world.first, split="val", compare_with=world.second)
    assert found["held_out"]["model"] | {"left_out_ids": []} == {
        "rows": 12, "asked": 12, "share": 1.0, "left_out": 0, "left_out_ids": [], "read_of_these": 12, "by": {"final": 12},
    }  # fmt: skip
    assert set(found["macro"]) == {"model", "untrained", "compared"}
    assert (found["scope"]["split"], found["labels"]["rows"]) == ("val", 12)
    assert found["snapshot_id"].startswith("snp_")
    assert [option["key"] for option in found["paired"]["untrained"]["options"]] == ["remorse", "dependants"]
    assert [option["key"] for option in found["paired"]["compared"]["options"]] == ["remorse"]
    assert found["twins"]["with_twin"]["rows"] + found["twins"]["without_twin"]["rows"] == 12
    assert "always no" in found["verdict"]["sentence"]
    assert found["energy"]["watt_hours"] >= 0
    with reading(world.engine) as session:
        row = session.query(Evaluation).one()
        assert (row.adapter_id, row.snapshot_id) == (world.first, found["snapshot_id"])
    for option in found["options"]:
        assert {"f1", "always_no", "accuracy", "mcc", "ece"} <= set(option)


def _texts_it_was_trained_on(world: Trained) -> None:
    """Each is read by the fold model that had not seen it; the numbers are those of the report."""
    found = world.evaluated(adapter=world.first, split="train", untrained=False)
    held = found["held_out"]["model"]
    assert held["asked"] == 48
    assert held["by"]["final"] == 0
    assert held["by"].get("1 fold models", 0) == held["rows"] == 48 - held["left_out"] > 30
    assert set(found["macro"]) == {"model"}
    if not held["left_out"]:
        report = world.client.get(f"/adapters/{world.first}/report").json()
        assert found["macro"]["model"]["f1"] == pytest.approx(report["macro"]["model"]["f1"], abs=0.03)
        assert found["macro"]["model"]["pr_auc"] == pytest.approx(
            report["macro"]["model"]["pr_auc"], abs=0.03
        )
    both = world.evaluated(adapter=world.first, untrained=False)
    assert both["held_out"]["model"]["by"]["final"] == 12
    assert both["held_out"]["model"]["asked"] == 60


def _a_base_model_alone(world: Trained) -> None:
    with reading(world.engine) as session:
        base = session.execute(
            text("SELECT params ->> 'base_model' FROM jobs WHERE kind = 'train' LIMIT 1")
        ).scalar_one()
    found = world.evaluated(base=base, split="val")
    assert (found["adapter"], found["base"], found["twins"]) == (None, base, None)
    assert "favours" in found["decided_by"]["model"]


def _stopped_and_taken_up(world: Trained) -> None:
    """A stopped job keeps the chunks that it has read."""
    read: list[int] = []

    class AfterTwoChunks(StopFlag):
        def reason(self) -> Any:
            return "shutdown" if len(read) >= 2 else None

    whole = evaluate_reading.contents_of

    def counted(versions: Any) -> list[str]:
        read.append(len(versions))
        return whole(versions)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_reading, "CHUNK", 5)
        patch.setattr(evaluate_reading, "contents_of", counted)
        body = {"corpus": "letters", "adapter": world.first, "split": "val", "untrained": False}
        job_id = world.client.post("/evaluations", json=body).json()["id"]
        assert exit_of_attempt(job_id, evaluate_run, AfterTwoChunks()) == EXIT_STOPPED
        with writing(world.engine) as session:
            leases.release(session, job_id, 1, code="shutdown", reason="asked", counted=False, max_attempts=3)
        assert exit_of_attempt(job_id, evaluate_run) == EXIT_DONE
    assert read == [5, 5, 2]


def _two_adapters(world: Trained) -> None:
    found = world.client.get(f"/adapters/{world.first}/compare", params={"with": world.second}).json()
    assert [option["key"] for option in found["options"]] == ["remorse"]
    assert (found["rows"], found["first"]["id"]) == (48, world.first)
    option = found["options"][0]
    assert option["decided_otherwise"] == len(found["decided_otherwise"])
    assert option["only_first_right"] + option["only_second_right"] == option["decided_otherwise"]
    with writing(world.engine) as session:
        _key, reader = create_api_key(session, "rita", "reader")
    seen = world.client.get(
        f"/adapters/{world.first}/compare", params={"with": world.second}, headers=bearer(reader)
    ).json()
    assert seen["decided_otherwise"] is None
    same = world.client.get(f"/adapters/{world.first}/compare", params={"with": world.first})
    assert (same.status_code, same.json()["field"]) == (422, "with")


def _the_gate(world: Trained) -> None:
    report = world.client.get(f"/adapters/{world.second}/report").json()
    decision = report["gate"][0]
    assert decision["automatic"]
    if world.client.get(f"/adapters/{world.first}").json()["promoted"]:
        failed = {check["name"] for check in decision["checks"] if check["passed"] is False}
        assert "no-option-lacking" in failed
        assert decision["compared_id"] == world.first
    with writing(world.engine) as session:
        session.execute(
            text("UPDATE adapters SET report = jsonb_set(report, '{verdict,beats_baselines}', 'false')")
        )
    path = f"/adapters/{world.second}"

    def promote(body: dict[str, Any] | None) -> Any:
        etag = world.client.get(path).headers["ETag"]
        return world.client.post(f"{path}/promote", json=body, headers={"If-Match": etag})

    refused = promote(None)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:remand:problem:gate-not-passed")
    assert {check["name"]: check["passed"] for check in refused.json()["checks"]}["beats-baselines"] is False
    unreasoned = promote({"override": True, "reason": " "})
    assert (unreasoned.status_code, unreasoned.json()["field"]) == (422, "/reason")
    assert promote({"override": True, "reason": "For a demonstration."}).json()["promoted"]
    kept = world.client.get(f"{path}/report").json()["gate"][0]
    assert (kept["override"], kept["actor"], kept["reason"]) == (True, "ada", "For a demonstration.")
    with reading(world.engine) as session:
        logged = (
            session.query(AuditLog).filter_by(action="adapter.promote").order_by(AuditLog.id.desc()).first()
        )
        assert logged is not None
        assert (logged.detail["override"], "beats-baselines" in logged.detail["failed"]) == (True, True)


def _forms(world: Trained) -> None:
    card = world.client.get(f"/adapters/{world.first}/card")
    assert card.headers["content-type"].startswith("text/markdown")
    front = yaml.safe_load(card.text.split("---")[1])
    assert (front["library_name"], front["base_model"], front["license"]) == ("peft", "tiny", "other")
    names = [metric["name"] for metric in front["model-index"][0]["results"][0]["metrics"]]
    assert "mean accuracy of always answering no" in names
    exported = world.client.get(f"/adapters/{world.first}/held-out")
    rows = list(csv.reader(io.StringIO(exported.text)))
    assert (rows[0], len(rows)) == (["external_id", "fold", "remorse", "dependants"], 49)
    arrow = world.client.get(f"/adapters/{world.first}/held-out", params={"format": "arrow"})
    frame = pl.read_ipc(io.BytesIO(arrow.content))
    assert frame["external_id"].to_list() == [row[0] for row in rows[1:]]
    assert frame["p:remorse"].to_list() == pytest.approx([float(row[2]) for row in rows[1:]], abs=1e-5)
    letter = "honour"  # a word of every letter, and of no option
    assert not any(letter in part for part in (card.text, exported.text, json.dumps(front)))
    assert letter not in world.client.get(f"/adapters/{world.first}/report").text
    with reading(world.engine) as session:
        assert session.query(AuditLog).filter_by(action="texts.shown").count() == 2


def _pages(world: Trained) -> None:
    address = f"/adapters/{world.first}/report"
    page = world.client.get(address, headers=HTML)
    assert page.headers["content-type"].startswith("text/html")
    for words in (
        "Beside its baselines",
        "Rows with and without a twin",
        "The sources",
        "Label snapshot",
        "Wh",
    ):
        assert words in page.text, words
    assert "<svg" in page.text
    assert "/static/remand.css" in page.text
    alone = world.client.get(address, params={"standalone": True}, headers=HTML).text
    assert "<style>" in alone
    assert "/static/" not in alone
    evaluations = world.client.get(address).json()["evaluations"]
    found = world.client.get(evaluations[0]["report"], headers=HTML)
    assert "Who read what" in found.text
    beside = world.client.get(f"/adapters/{world.first}/compare", params={"with": world.second}, headers=HTML)
    assert "Cells decided differently" in beside.text


def test_wrong_requests_are_problems_and_leave_no_job(client: TestClient, corpus: Built) -> None:
    for fields, status, field, slug in WRONG:
        answer = client.post("/evaluations", json={"corpus": "letters"} | fields)
        problem = answer.json()
        found = (answer.status_code, problem["type"], problem.get("field"))
        assert found == (status, f"urn:remand:problem:{slug}", field), problem
    client.post("/corpora", json={"name": "bare"})
    bare = client.post("/evaluations", json={"corpus": "bare", "base": "minilm"})
    assert (bare.status_code, bare.json()["type"]) == (409, "urn:remand:problem:no-scheme"), bare.json()
    assert client.get("/evaluations").json()["items"] == []


WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"corpus": "nowhere"}, 404, "/corpus", "not-found"),
    ({}, 409, "/adapter", "no-promoted-adapter"),
    ({"adapter": "adp_none"}, 404, "/adapter", "not-found"),
    ({"adapter": "adp_x", "base": "minilm"}, 422, "/base", "adapter-or-base"),
    ({"base": "gpt-9"}, 422, "/base", "base-model-unavailable"),
    ({"base": "minilm", "split": "nope"}, 422, "/split", "unknown-split"),
    ({"base": "minilm", "sample": "smp_x"}, 422, "/sample", "unknown-sample"),
    ({"base": "minilm", "compare_with": "adp_none"}, 404, "/compare_with", "not-found"),
    ({"base": "minilm", "limit": 0}, 422, "/limit", "invalid"),
]


def test_an_adapter_that_reads_neighbours_gets_those_of_the_whole_corpus(corpus: Built) -> None:
    """The letters of a case are two; only the first is evaluated, and the second still stands after it."""
    found = letters(4)
    versions = np.array([corpus.versions[letter.key] for letter in found])
    around = Surroundings(versions, [letter.case for letter in found], {found[0].case})
    (first,) = around.of(versions[:1])
    assert (first.before, first.after) == ("", " ".join(found[1].content.split()[:16]))
