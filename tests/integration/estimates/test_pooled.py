"""Two audit samples used together: narrower than one, about the newest frame, reproducible, and refused where they do not go together."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.blobs import BlobStore
from app.db.session import reading, writing
from app.db.tables import AuditSample
from app.estimates.queries import estimates_of
from app.settings import get_settings
from tests.integration.estimates.reproducing import check_reproduced
from tests.integration.estimates.second import DRAWN, GONE, REWRITTEN, draw_again
from tests.integration.estimates.world import TEXTS, World

Estimated = Callable[..., dict[str, Any]]
PREVALENCE: dict[str, Any] = {"kind": "prevalence"}
COURTS: dict[str, Any] = {
    "kind": "difference", "label": "remorse", "between": "court", "reference": "North", "missing": "drop",
}  # fmt: skip
INSIDE: dict[str, Any] = {
    "kind": "logistic", "outcome": {"label": "remorse"}, "covariates": [{"column": "year"}],
}  # fmt: skip
HTML = {"Accept": "text/html"}


@pytest.fixture
def again(engine: Engine, world: World) -> Callable[..., str]:
    def once(**changes: Any) -> str:
        return draw_again(engine, BlobStore(get_settings().blob_root), world, **changes)

    return once


def test_two_samples_speak_of_the_texts_of_the_newest_by_labels_that_neither_has_changed(
    estimated: Estimated, world: World, again: Callable[..., str]
) -> None:
    second = again()
    both = estimated(PREVALENCE, cluster_by=None, audit_samples=[second, world.sample_id])
    true = world.truth[GONE:, 0].mean()
    share = both["analyses"][0]["estimates"][0]
    assert share["low"] < true < share["high"]
    assert both["analyses"][0]["texts"] == TEXTS - GONE
    # labels given are those frozen before the first sample was read, but for letters rewritten since; what was released is not among them
    assert share["naive"] == pytest.approx(world.given[GONE:, 0].mean(), abs=0.003)
    later = estimated(PREVALENCE, cluster_by=None, audit_sample=second)["analyses"][0]["estimates"][0]
    assert later["naive"] < share["naive"] - 0.02
    assert [told["id"] for told in both["audit_samples"]] == [world.sample_id, second]
    assert both["audit_sample"]["id"] == second
    assert both["audit_samples"][0]["still_there"] < both["audit_samples"][0]["drawn"] == 360
    assert both["read_twice"] > both["read_differently"] == 1
    for words in (
        "2 random samples",
        "Hartley 1962",
        "read in more than one sample, 1 of them",
        "have since changed",
    ):
        assert words in both["methods"]
    assert "after an earlier one had been closed" in both["methods"]
    assert any("Hartley" in source for source in both["sources"])


def test_the_package_of_two_samples_reproduces_every_number(
    estimated: Estimated, admin: TestClient, world: World, again: Callable[..., str], tmp_path: Path
) -> None:
    second = again()
    for body in ({}, {"cluster_by": None}, {"cluster_by": None, "where": {"year": [2016, 2017, 2018, 2019]}}):
        found = estimated(PREVALENCE, COURTS, INSIDE, audit_samples=[world.sample_id, second], **body)
        content = admin.get(f"/estimates/{found['job_id']}/package").content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(tmp_path)
        folder = tmp_path / "replication"
        numbers = sum(len(one["estimates"]) for one in found["analyses"])
        assert numbers >= 5, [one["reason"] for one in found["analyses"]]
        check_reproduced(folder, numbers)
    rows = list(csv.DictReader((folder / "texts.csv").open()))
    assert len(rows) == len({row["id"] for row in rows}) == TEXTS + len(REWRITTEN)
    assert sum(row["drawn.2"] == "1" for row in rows) == DRAWN
    assert {row["share.1"] for row in rows if not row["stratum.2"]} == {"1.0"}
    assert sum(row["asked.1"] == "0" for row in rows) >= GONE + len(REWRITTEN)
    readme = (folder / "README.md").read_text()
    assert second in readme
    assert "`share.S`" in readme


def test_the_page_names_both_samples_and_each_lists_what_rests_on_it(
    estimated: Estimated, admin: TestClient, world: World, again: Callable[..., str], engine: Engine
) -> None:
    second = again()
    found = estimated(PREVALENCE, audit_samples=[world.sample_id, second])
    page = admin.get(f"/estimates/{found['job_id']}/report", headers=HTML).text
    assert "audit samples spring, autumn" in page
    assert "these samples together" in page
    with reading(engine) as session:
        for sample in (world.sample_id, second):
            assert [one["job_id"] for one in estimates_of(session, world.corpus_id, sample)] == [
                found["job_id"]
            ]
        assert estimates_of(session, world.corpus_id, "aud_other") == []


@pytest.mark.parametrize(
    ("changes", "status", "slug"),
    [
        ({"seed": 11}, 422, "same-seed"),
        ({"definition": "Says that they are sorry."}, 409, "codebooks-differ"),
        ({"gone": 0, "every": True}, 409, "frames-differ"),
    ],
)
def test_samples_that_do_not_go_together_are_refused(
    admin: TestClient,
    world: World,
    again: Callable[..., str],
    changes: dict[str, Any],
    status: int,
    slug: str,
) -> None:
    body = {
        "corpus": world.corpus_id,
        "analyses": [PREVALENCE],
        "audit_samples": [world.sample_id, again(**changes)],
    }
    answer = admin.post("/estimates", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:remand:problem:{slug}"
    assert answer.json()["field"] == "/audit_samples"


def test_samples_are_named_once_and_options_must_be_read_by_each(
    admin: TestClient, world: World, engine: Engine, again: Callable[..., str]
) -> None:
    body: dict[str, Any] = {"corpus": world.corpus_id, "analyses": [PREVALENCE]}
    both = {"audit_samples": [world.sample_id, world.sample_id]}
    for named in (both, {"audit_sample": world.sample_id, "audit_samples": [world.sample_id]}):
        answer = admin.post("/estimates", json=body | named)
        assert answer.status_code == 422, answer.text
        assert answer.json()["type"] == "urn:remand:problem:audit-samples-named-twice"
    second = again()
    named = {"audit_samples": [world.sample_id, second]}
    found = admin.post("/estimates", params={"dry_run": True}, json=body | named).json()
    assert (found["audit_samples"], found["frame"]) == ([world.sample_id, second], TEXTS - GONE)
    assert found["drawn"] < 360 + DRAWN
    with writing(engine) as session:
        session.get_one(AuditSample, second).option_keys = ["threat", "unread"]
    labels = [{"kind": "prevalence", "labels": ["remorse"]}]
    answer = admin.post("/estimates", json=body | named | {"analyses": labels})
    assert answer.json()["type"] == "urn:remand:problem:option-not-read"
    assert "threat was" in answer.json()["detail"]
