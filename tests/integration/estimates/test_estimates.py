"""From a closed audit sample to numbers for the paper: right where students mislead, refused where little was read, reproducible elsewhere."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from app.blobs import BlobStore
from app.db.session import reading, writing
from app.db.tables import AuditLog, Blob, Estimates
from app.settings import get_settings
from tests.api import Keys, bearer
from tests.integration.estimates.reproducing import check_reproduced
from tests.integration.estimates.world import SECRET, World, build_world

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PREVALENCE: dict[str, Any] = {"kind": "prevalence"}
COURTS: dict[str, Any] = {
    "kind": "difference", "label": "remorse", "between": "court", "reference": "North", "missing": "drop",
}  # fmt: skip
OUTSIDE: dict[str, Any] = {
    "kind": "logistic",
    "outcome": {"label": "remorse"},
    "covariates": [{"column": "year"}, {"column": "court", "reference": "North"}],
    "missing": "drop",
}
INSIDE: dict[str, Any] = {
    "kind": "linear",
    "outcome": {"column": "year"},
    "covariates": [{"label": "remorse"}],
}
ALL = (PREVALENCE, COURTS, OUTSIDE, INSIDE)
Estimated = Callable[..., dict[str, Any]]


def by_name(analysis: dict[str, Any]) -> dict[str, dict[str, Any]]:
    assert analysis["reason"] is None, analysis["reason"]
    return {one["name"]: one for one in analysis["estimates"]}


def test_intervals_hold_the_truth_where_the_naive_ones_do_not(estimated: Estimated, world: World) -> None:
    found = estimated(*ALL, cluster_by=None)
    share, rare, courts, _, inside = found["analyses"]
    true = float(world.truth[:, 0].mean())
    remorse = by_name(share)["remorse"]
    assert remorse["low"] < true < remorse["high"]
    assert not remorse["naive_low"] < true < remorse["naive_high"]
    assert remorse["naive"] == pytest.approx(float(world.given[:, 0].mean()))
    threat = by_name(rare)["threat"]
    assert threat["low"] < world.truth[:, 1].mean() < threat["high"]
    assert "rare counts" in threat["method"]

    told = np.arange(len(world.court)) >= 10  # ten letters have no court
    north, south = (world.truth[told & (world.court == name), 0].mean() for name in ("North", "South"))
    difference = by_name(courts)["South − North"]
    assert difference["low"] < south - north < difference["high"]
    assert difference["naive"] > difference["high"]
    assert courts["left_out"] == 10
    slope = by_name(inside)["remorse"]
    by_truth = np.polyfit(world.truth[:, 0], world.year, 1)[0]
    assert slope["low"] < by_truth < slope["high"]
    assert [one["read"] for one in found["analyses"][:2]] == [357, 357]
    assert share["skipped"] == 3


def test_where_keeps_the_texts_asked_about_and_clusters_are_the_fold_group(
    estimated: Estimated, world: World
) -> None:
    found = estimated({"kind": "prevalence", "labels": ["remorse"]}, where={"court": ["South"]})
    told = (world.court == "South") & (np.arange(len(world.court)) >= 10)
    one = by_name(found["analyses"][0])["remorse"]
    assert found["cluster_by"] == "case"
    assert found["analyses"][0]["texts"] == told.sum()
    assert one["low"] < world.truth[told, 0].mean() < one["high"]
    assert one["naive"] == pytest.approx(world.given[told, 0].mean())


def test_what_cannot_be_said_is_refused_with_the_reason_and_the_rest_is_estimated(
    estimated: Estimated,
) -> None:
    rare = {"kind": "linear", "outcome": {"label": "threat"}, "covariates": [{"column": "year"}]}
    gaps = COURTS | {"missing": "refuse"}
    words = INSIDE | {"outcome": {"column": "court"}, "missing": "drop"}
    cases = {"kind": "difference", "label": "remorse", "between": "case"}
    found = estimated(rare, gaps, words, cases, {"kind": "prevalence", "labels": ["threat"]}, INSIDE)[
        "analyses"
    ]
    assert "20 are needed" in found[0]["reason"]
    assert "10 texts have no value of court" in found[1]["reason"]
    assert "no number" in found[2]["reason"]
    assert "150 levels" in found[3]["reason"]
    assert "by clusters" in found[4]["reason"]
    assert found[5]["reason"] is None
    assert [one["estimates"] for one in found[:5]] == [[]] * 5


def test_a_dry_run_says_what_could_be_answered_and_makes_nothing(
    admin: TestClient, world: World, engine: Engine
) -> None:
    body = {"corpus": world.corpus_id, "analyses": [*ALL, COURTS | {"missing": "refuse"}]}
    found = admin.post("/estimates", params={"dry_run": True}, json=body).json()
    assert [one["answerable"] for one in found["analyses"]] == [True, True, True, True, True, False]
    assert (found["audit_sample"], found["run"], found["cluster_by"]) == (
        world.sample_id,
        world.run_id,
        "case",
    )
    assert (found["drawn"], found["frame"]) == (360, 1500)
    assert sum(found["analyses"][0]["events"]["remorse"]) == 357
    assert found["analyses"][3]["coefficients"] == ["(intercept)", "year", "court: =East", "court: South"]
    with reading(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM jobs WHERE kind = 'estimates'")) == 0


@pytest.mark.parametrize(
    ("change", "status", "field", "slug"),
    [
        ({"analyses": [{"kind": "prevalence", "labels": ["remorse", "unread"]}]}, 422, "/analyses/0/labels/1", "option-not-read"),
        ({"analyses": [INSIDE, COURTS | {"label": "nothing"}]}, 422, "/analyses/1/label", "unknown-option"),
        ({"analyses": [COURTS | {"between": "judge"}]}, 422, "/analyses/0/between", "unknown-column"),
        ({"analyses": [OUTSIDE | {"covariates": [{"column": "x"}]}]}, 422, "/analyses/0/covariates/0/column", "unknown-column"),
        ({"where": {"judge": ["A"]}}, 422, "/where/judge", "unknown-column"),
        ({"cluster_by": "year"}, 422, "/cluster_by", "unknown-column"),
        ({"audit_sample": "aud_x"}, 404, "/audit_sample", "not-found"),
        ({"run": "run_x"}, 404, "/run", "not-found"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_refused_before_there_is_a_job(
    admin: TestClient, world: World, change: dict[str, Any], status: int, field: str, slug: str
) -> None:
    answer = admin.post("/estimates", json={"corpus": world.corpus_id, "analyses": [INSIDE]} | change)
    assert answer.status_code == status, answer.text
    assert (answer.json()["field"], answer.json()["type"]) == (field, f"urn:remand:problem:{slug}")


def test_shapes_that_mean_nothing_are_refused(admin: TestClient, world: World) -> None:
    """The field is one of the body: kinds of analyses are told apart by `kind`, not by a field of that name."""
    for analysis, field in (
        ({"kind": "linear", "outcome": {"column": "year"}, "covariates": [{"column": "court"}]}, ""),
        ({"kind": "linear", "outcome": {"label": "remorse"}, "covariates": [{"label": "remorse"}]}, ""),
        ({"kind": "linear", "outcome": {}, "covariates": [{"label": "remorse"}]}, "/outcome"),
        ({"kind": "linear", "outcome": {"label": "remorse"}, "covariates": []}, "/covariates"),
        ({"kind": "linear", "outcome": {"label": "remorse"}}, "/covariates"),
        ({"kind": "cubic"}, ""),
    ):
        answer = admin.post("/estimates", json={"corpus": world.corpus_id, "analyses": [analysis]})
        assert answer.status_code == 422, analysis
        assert answer.json()["field"] == f"/analyses/0{field}", analysis


def test_nothing_rests_on_a_sample_that_is_still_being_read(admin: TestClient, engine: Engine) -> None:
    world = build_world(engine, BlobStore(get_settings().blob_root), state="reading")
    body = {"corpus": world.corpus_id, "analyses": [PREVALENCE]}
    none_closed = admin.post("/estimates", json=body)
    named = admin.post("/estimates", json=body | {"audit_sample": world.sample_id})
    assert (none_closed.status_code, named.status_code) == (409, 409)
    assert none_closed.json()["type"].endswith("no-closed-audit-sample")
    assert named.json()["type"].endswith("audit-sample-open")


def package_of(admin: TestClient, job_id: str) -> tuple[bytes, dict[str, bytes]]:
    answer = admin.get(f"/estimates/{job_id}/package")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return answer.content, {
            name.removeprefix("replication/"): archive.read(name) for name in archive.namelist()
        }


def test_the_package_reproduces_every_number_in_python_and_in_r(
    estimated: Estimated, admin: TestClient, tmp_path: Path
) -> None:
    """With clusters and without, over all texts and over some; rare counts, labels outside and inside."""
    for body in (
        {},
        {"cluster_by": None},
        {"cluster_by": None, "where": {"year": [2016, 2017, 2018, 2019, 2020]}},
    ):
        found = estimated(*ALL, **body)
        _, files = package_of(admin, found["job_id"])
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        numbers = sum(len(one["estimates"]) for one in found["analyses"])
        assert numbers >= 10, [one["reason"] for one in found["analyses"]]
        check_reproduced(tmp_path, numbers)
        broken = (tmp_path / "analyses.csv").read_text().replace("0.", "0.1", 1)
        (tmp_path / "analyses.csv").write_text(broken)
        done = subprocess.run(
            [sys.executable, "reproduce.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stdout


def test_no_text_no_name_leaves_with_the_package(
    estimated: Estimated, admin: TestClient, world: World, engine: Engine
) -> None:
    found = estimated(*ALL)
    _, files = package_of(admin, found["job_id"])
    with reading(engine) as session:
        hidden = [SECRET, *world.external_ids[:50]]
        hidden += [f"txt_{number}" for number in session.scalars(text("SELECT id FROM texts LIMIT 50"))]
        hidden += list(session.scalars(text("SELECT encode(sha256, 'hex') FROM text_versions LIMIT 50")))
    for name, content in files.items():
        assert [word for word in hidden if word.encode() in content] == [], name
    rows = list(csv.DictReader(io.StringIO(files["texts.csv"].decode())))
    assert len(rows) == len({row["id"] for row in rows}) == 1500
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert len({row["cluster"] for row in rows}) == len(
        {row["cluster"] for row in rows} - {row["id"] for row in rows}
    )
    assert sum(row["expert.remorse"] != "" for row in rows) == 357
    assert not any(row["expert.remorse"] for row in rows if row["drawn"] == "0")
    assert sum(row["probability.remorse"] == "" for row in rows) == 38  # read by a model that had seen them
    assert {row["column.court"] for row in rows} == {"", "North", "South", "'=East"}  # no formula
    assert not any("seen" in column or "content" in column for column in rows[0])


def test_the_package_says_where_it_comes_from_and_its_bytes_stay(
    estimated: Estimated, admin: TestClient, world: World, engine: Engine, attempt: Any
) -> None:
    found = estimated(*ALL)
    content, files = package_of(admin, found["job_id"])
    for line in files["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest
    told = json.loads(files["estimates.json"])
    assert told["snapshot"]["digest"] == "5" * 64
    assert told["run"]["adapter_digest"] == "a" * 64
    assert (told["audit_sample"]["seed"], told["seed"]) == (11, 0)
    assert told["versions"]["numpy"] == np.__version__
    cited = yaml.safe_load(files["CITATION.cff"])
    assert cited["cff-version"] == "1.2.0"
    assert all(
        isinstance(one["year"], int) and one["title"]
        for one in cited["references"]
        if one["type"] == "generic"
    )
    words = files["METHODS.md"].decode()
    assert all(part in words for part in ("360", "1,500", "Egami", "clustered by case", "3 sampled texts"))

    with writing(engine) as session:  # the same job once more
        session.execute(text("DELETE FROM estimates"))
        session.execute(
            text(
                "UPDATE jobs SET state = 'queued', result = NULL, finished_at = NULL WHERE kind = 'estimates'"
            )
        )
    assert attempt(found["job_id"]).result["package_sha256"] == hashlib.sha256(content).hexdigest()


def test_who_takes_the_package_has_seen_every_label(
    estimated: Estimated, client: TestClient, keys: Keys, engine: Engine, world: World
) -> None:
    found = estimated(PREVALENCE)
    path = f"/estimates/{found['job_id']}"
    for secret, report, package in (
        (keys.reader, 200, 403),
        (keys.reviewer, 200, 403),
        (keys.admin, 200, 200),
    ):
        client.headers.update(bearer(secret))
        assert client.get(path + "/report").status_code == report
        assert client.get(path + "/package").status_code == package
    with reading(engine) as session:
        seen = session.query(AuditLog).filter_by(action="texts.shown", object_id=world.corpus_id).all()
    assert [(entry.actor, entry.detail) for entry in seen] == [("ada", {"texts": "all"})]


def test_the_page_draws_estimates_and_names_refusals(estimated: Estimated, admin: TestClient) -> None:
    found = estimated(*ALL, COURTS | {"missing": "refuse"})
    page = admin.get(f"/estimates/{found['job_id']}/report", headers=HTML).text
    assert page.count("<svg") == 4
    assert page.count("Not estimated.") == 2  # the rare option by cluster, and the courts with gaps
    assert "outside" in page
    assert "court is compared with North" in page
    assert f"/estimates/{found['job_id']}/package" in page


def test_the_package_goes_with_its_corpus(
    estimated: Estimated, admin: TestClient, world: World, engine: Engine
) -> None:
    found = estimated(PREVALENCE)
    with reading(engine) as session:
        digest = session.get_one(Estimates, found["job_id"]).package_blob
    etag = admin.get(f"/corpora/{world.corpus_id}").headers["ETag"]
    assert admin.delete(f"/corpora/{world.corpus_id}", headers={"If-Match": etag}).status_code == 204
    with reading(engine) as session:
        assert session.get(Blob, digest) is None
    assert not BlobStore(get_settings().blob_root).exists(digest)
