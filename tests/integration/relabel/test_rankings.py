"""Rankings: every score kept, judged again without reading, decoys, findings, calibration by a closed audit sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from app.audits.frame import Frame, to_arrow
from app.blobs import BlobStore
from app.corpora.codebook import load_codebook
from app.db.session import reading, writing
from app.db.tables import (
    AuditReading,
    AuditSample,
    Blob,
    Disagreement,
    LabelSnapshot,
    Ranking,
    RelabelRun,
    Review,
    Suspicion,
)
from app.ids import new_id
from app.settings import get_settings
from models.audit.ranking import text_scores
from models.scheme import Dependency
from tests.integration.relabel.world import SCHEME, World, build_world, letters, rewrite, truth_of
from tests.integration.review_corpus import add_scheme, add_text, annotate

CORPUS = "synthetic letters"


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    from app.http.security import create_api_key, forget_credentials
    from app.main import create_app

    forget_credentials()
    with writing() as session:
        _, secret = create_api_key(session, "ada", "admin")
    with TestClient(create_app()) as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        yield client


@pytest.fixture
def relabelled(client, world, attempt) -> dict[str, Any]:
    """The result of a first relabel job."""
    accepted = client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id})
    job = attempt(accepted.json()["id"])
    assert job.state == "succeeded", job.error
    return job.result


@pytest.fixture
def ranked(client, attempt):
    """Judges the run again; the job."""

    def rank(**wishes: Any):
        accepted = client.post("/rankings", json={"corpus": CORPUS} | wishes)
        assert accepted.status_code == 202, accepted.text
        assert accepted.headers["location"].startswith("/ranking-jobs/job_")
        return attempt(accepted.json()["id"])

    return rank


def suspicions(ranking_id: str) -> dict[int, list[float]]:
    with reading() as session:
        return {
            row.text_version_id: row.scores
            for row in session.scalars(select(Suspicion).where(Suspicion.ranking_id == ranking_id))
        }


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    found, cursor = [], None
    while True:
        page = client.get(
            "/label-disagreements",
            params={"corpus": CORPUS, "limit": 2} | query | ({"cursor": cursor} if cursor else {}),
        )
        assert page.status_code == 200, page.text
        found += page.json()["items"]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return found


def decide(world: World, name: str, option: str, value: str) -> None:
    """A decision of vera's, written straight into the table."""
    with writing() as session:
        book = load_codebook(session, world.built.corpus_id)
        place = book.question_ids["arguments"], book.option_ids[option]
        session.add(
            Review(
                corpus_id=world.built.corpus_id, text_id=world.built.texts[name], text_version_id=world.built.versions[name],
                question_id=place[0], option_id=place[1], value=value, reviewer="vera", scheme_version=1,
                definition_digest=book.definitions()[place],
            )
        )  # fmt: skip


def test_every_score_is_kept_and_orders_the_list(client, relabelled):
    ranking = client.get(f"/rankings/{relabelled['ranking']}").json()
    assert ranking["score_names"] == [
        "stacked", "self_confidence", "margin", "confident_learning", "knn", "unlimited"
    ]  # fmt: skip
    assert (ranking["method"], ranking["calibrated"]) == ("stacked", False)
    assert "0 blind decisions" in ranking["calibration"]["reason"]
    for name in ranking["score_names"]:
        items = listed(client, order_by=name)
        values = [item["scores"][name] for item in items]
        assert len(values) == ranking["flagged_cells"]
        assert values == sorted(values, reverse=True), name
        assert len({item["id"] for item in items}) == len(items)
    assert all(item["error_probability"] is None for item in items)


def test_a_score_that_is_not_there_and_a_cursor_of_another_order_are_refused(client, relabelled):
    wrong = client.get("/label-disagreements", params={"corpus": CORPUS, "order_by": "magic"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "order_by")
    cursor = client.get("/label-disagreements", params={"corpus": CORPUS, "limit": 1}).json()["next_cursor"]
    foreign = client.get(
        "/label-disagreements", params={"corpus": CORPUS, "limit": 1, "order_by": "knn", "cursor": cursor}
    )
    assert foreign.json()["type"] == "urn:remand:problem:foreign-cursor"
    asked = client.post("/rankings", json={"corpus": CORPUS, "score": "magic"})
    assert (asked.status_code, asked.json()["field"]) == (422, "/score")


@pytest.mark.parametrize("by", ["any_wrong", "highest"])
def test_texts_are_listed_by_pooled_suspicion(client, relabelled, world, by):
    found, cursor = [], None
    while True:
        query = {"by": by, "limit": 30} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"/corpora/{CORPUS}/suspicious-texts", params=query).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    values = [item[by] for item in found]
    assert values == sorted(values, reverse=True)
    assert len({item["text_id"] for item in found}) == len(found) == relabelled["held_out_texts"]
    assert {(item["external_id"], item["most_suspicious"]["option"]) for item in found[:2]} == world.wrong
    alone = text_scores(np.array([[item["highest"]] for item in found], dtype=np.float32))
    assert all(item["any_wrong"] >= least - 1e-6 for item, least in zip(found, alone, strict=True))


def test_judged_again_with_nothing_new_the_scores_are_the_same_and_no_text_is_read(
    relabelled, ranked, reader
):
    reader.reads.clear()
    job = ranked()
    assert job.state == "succeeded", job.error
    assert not reader.reads
    assert job.result["run"] == relabelled["run"]
    assert job.result["ranking"] != relabelled["ranking"]
    assert suspicions(job.result["ranking"]) == suspicions(relabelled["ranking"])
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Ranking)) == 2


def test_decisions_are_in_the_labels_that_are_judged_again(client, relabelled, ranked, world):
    name, option = min(world.wrong)
    decide(world, name, option, "yes" if truth_of(letters()[name][1])[0] else "no")
    job = ranked()
    assert job.result["settled_cells"] == 1
    assert job.result["snapshot"] != relabelled["snapshot"]
    assert (name, option) not in {(item["external_id"], item["option"]) for item in listed(client)}


def test_a_run_made_before_anything_was_kept_is_judged_again_too(relabelled, ranked):
    with writing() as session:
        session.execute(text("UPDATE relabel_runs SET evidence_blob = NULL"))
    job = ranked()
    assert job.state == "succeeded", job.error
    assert suspicions(job.result["ranking"]) == suspicions(relabelled["ranking"])
    with reading() as session:
        assert session.get_one(RelabelRun, relabelled["run"]).evidence_blob is not None


def test_a_text_that_has_changed_since_it_was_read_is_not_judged(relabelled, ranked, world):
    rewrite(world, "c2-5")
    job = ranked()
    assert job.result["audited_cells"] == relabelled["audited_cells"] - 2


def test_decoys_are_a_share_of_the_queue_and_nothing_tells_them_from_flags(client, relabelled, ranked):
    job = ranked(decoys=0.5)
    result = job.result
    assert result["decoy_cells"] == result["flagged_cells"] > 0
    blind = listed(client, blind=True)
    assert len(blind) == result["flagged_cells"] + result["decoy_cells"]
    assert [item["position"] for item in blind] == list(range(1, len(blind) + 1))
    hidden = (
        "human_value",
        "model_value",
        "probability",
        "suspicion",
        "scores",
        "reason",
        "error_probability",
    )
    assert all(item[name] is None for item in blind for name in hidden)
    with reading() as session:
        rows = session.scalars(select(Disagreement).where(Disagreement.ranking_id == result["ranking"])).all()
        by_id = {f"dis_{row.id}": row for row in rows}
    decoys = {name for name, row in by_id.items() if row.reason == "decoy"}
    for number, name in enumerate(client.get(f"/rankings/{result['ranking']}").json()["score_names"]):
        order = [item["id"] for item in listed(client, blind=True, order_by=name)]
        assert set(order) == set(by_id)
        placed = [(by_id[one].places or by_id[one].scores)[number] for one in order]
        assert placed == sorted(placed, reverse=True)
    lowest = min(row.suspicion for row in rows if row.reason == "flag")
    filtered = listed(
        client, blind=True, minimum_score=float(np.nextafter(np.float32(lowest), np.float32(0)))
    )
    assert {item["id"] for item in filtered} == set(by_id), (
        "least suspicion leaves decoys where their places are"
    )
    assert all(by_id[name].suspicion <= lowest for name in decoys)


def test_what_was_decoy_is_told_after_the_vote(client, relabelled, ranked):
    ranked(decoys=0.5)
    first = listed(client, blind=True)[0]["id"]
    shown = client.get(f"/label-disagreements/{first}")
    assert shown.json()["reason"] is None
    voted = client.put(
        f"/label-disagreements/{first}/review",
        json={"value": "yes"},
        headers={"If-Match": shown.headers["ETag"]},
    )
    assert voted.json()["reason"] in {"flag", "decoy"}
    exported = client.get(
        f"/label-disagreements/export?corpus={CORPUS}&state=all&format=jsonl"
    ).text.splitlines()
    told = {row["id"]: row["reason"] for row in map(json.loads, exported)}
    assert told.pop(first) == voted.json()["reason"]
    assert set(told.values()) == {None}


@pytest.mark.usefixtures("plain_score")
def test_labels_that_cannot_be_right_together_are_found_and_can_be_decided(client, world, attempt):
    with writing() as session:
        add_scheme(
            session,
            world.built.corpus_id,
            replace(SCHEME, dependencies=(Dependency("family", ("remorse",)),)),
            2,
        )
        for name, values in (("copy-1", [1, 1]), ("copy-2", [0, 0])):
            add_text(
                session,
                world.built,
                name,
                "THE SAME  heading" if name == "copy-1" else "the same heading",
                groups={"case": "c0"},
            )
            annotate(session, world.built, name, "ben", "arguments", values)
    job = attempt(
        client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id}).json()["id"]
    )
    page = client.get("/label-findings", params={"corpus": CORPUS, "limit": 500}).json()
    assert job.result["findings"] == {"violations": page["violations"], "conflicts": page["conflicts"]}
    (conflict,) = [item for item in page["items"] if item["kind"] == "conflict"]
    assert (conflict["external_id"], conflict["other_external_id"], conflict["likeness"]) == (
        "copy-1",
        "copy-2",
        "exact",
    )
    assert [(cell["option"], cell["human_value"]) for cell in conflict["cells"]] == [
        ("remorse", "yes"), ("family", "yes"), ("remorse", "no"), ("family", "no"),
    ]  # fmt: skip
    broken = client.get(
        "/label-findings", params={"corpus": CORPUS, "kind": "violation", "limit": 500}
    ).json()["items"]
    expected = {
        name for name, (_, content) in letters().items()
        if [int((name, option) in world.wrong) ^ said for option, said in zip(("remorse", "family"), truth_of(content), strict=True)] == [0, 1]
    }  # fmt: skip
    assert {item["external_id"] for item in broken} == expected
    assert {(item["option"], tuple(item["needs_any"])) for item in broken} == {("family", ("remorse",))}
    for cell in conflict["cells"]:
        place = f"/label-disagreements/{cell['disagreement_id']}"
        found = client.get(place)
        assert found.status_code == 200
        value = "yes" if cell["option"] == "remorse" else "no"
        assert client.put(
            f"{place}/review", json={"value": value}, headers={"If-Match": found.headers["ETag"]}
        ).is_success
    left = client.get("/label-findings", params={"corpus": CORPUS, "kind": "conflict"}).json()
    assert (left["items"], left["conflicts"]) == ([], 1)
    everything = client.get(
        "/label-findings", params={"corpus": CORPUS, "kind": "conflict", "state": "all"}
    ).json()["items"]
    assert {cell["state"] for cell in everything[0]["cells"]} == {"settled"}


@pytest.mark.usefixtures("plain_score")
def test_whoever_lists_findings_does_not_decide_those_texts_blind(client, world, attempt):
    with writing() as session:
        for name, values in (("copy-1", [1, 1]), ("copy-2", [0, 0])):
            add_text(session, world.built, name, "the same heading", groups={"case": "c0"})
            annotate(session, world.built, name, "ben", "arguments", values)
    attempt(client.post("/relabel-jobs", json={"corpus": CORPUS, "adapter": world.adapter_id}).json()["id"])
    cell = client.get("/label-findings", params={"corpus": CORPUS}).json()["items"][0]["cells"][0]
    place = f"/label-disagreements/{cell['disagreement_id']}"
    etag = client.get(place, params={"blind": "true"}).headers["ETag"]
    decided = client.put(f"{place}/review", json={"value": "yes"}, headers={"If-Match": etag}).json()
    assert decided["history"][0]["shown"]["blind"] is False


class TestCalibrated:
    """A larger corpus with a fifth of one option's labels wrong, and a closed audit sample of it."""

    @pytest.fixture
    def world(self, engine, server, environment, monkeypatch) -> World:
        monkeypatch.setenv("REMAND_INFERENCE_URLS", server.url)
        get_settings.cache_clear()
        world = build_world(engine, BlobStore(get_settings().blob_root), per_case=40)
        spoil(world)
        return world

    @pytest.fixture(autouse=True)
    def _plain(self, plain_score) -> None:
        pass

    def test_error_probabilities_flags_by_rate_and_the_budget(self, client, relabelled, ranked, world):
        refused = client.get(f"/rankings/{relabelled['ranking']}/budget")
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:remand:problem:not-calibrated")
        failed = ranked(max_false_discovery_rate=0.3)
        assert (failed.state, failed.error["code"]) == ("failed", "not-calibrated")
        closed_sample(world, relabelled, drawn=150)
        job = ranked(max_false_discovery_rate=0.3)
        assert job.state == "succeeded", job.error
        ranking = client.get(f"/rankings/{job.result['ranking']}").json()
        assert ranking["calibrated"]
        assert (ranking["calibration"]["reason"], ranking["calibration"]["decisions"]) == (None, 300)
        items = listed(client, state="all")
        chances = [item["error_probability"] for item in items]
        assert chances == sorted(chances, reverse=True)
        assert np.mean(chances) >= 0.7
        curve = client.get(f"/rankings/{ranking['id']}/budget").json()["points"]
        assert curve[-1]["reviewed"] == ranking["audited_cells"]
        assert all(point["low"] <= point["found"] <= point["high"] for point in curve)
        found = [point["found"] for point in curve]
        assert found == sorted(found)
        assert curve[-1]["low"] <= len(world.wrong) <= curve[-1]["high"] * 1.5

    def test_what_a_sample_settled_changes_no_score_though_it_was_released(self, relabelled, ranked, world):
        sample, drawn = closed_sample(world, relabelled, drawn=150)
        before = ranked().result["ranking"]
        with writing() as session:
            book = load_codebook(session, world.built.corpus_id)
            for name in drawn:
                for option, said in zip(("remorse", "family"), truth_of(letters(40)[name][1]), strict=True):
                    place = book.question_ids["arguments"], book.option_ids[option]
                    session.add(
                        Review(
                            corpus_id=world.built.corpus_id, text_id=world.built.texts[name], question_id=place[0], option_id=place[1],
                            text_version_id=world.built.versions[name], value="yes" if said else "no", reviewer="vera",
                            scheme_version=1, definition_digest=book.definitions()[place], audit_sample_id=sample,
                        )
                    )  # fmt: skip
        after = ranked().result
        assert after["settled_cells"] == 300
        left, known = suspicions(after["ranking"]), suspicions(before)
        drawn_versions = {world.built.versions[name] for name in drawn}
        assert set(left) == set(known) - drawn_versions
        assert all(left[version] == known[version] for version in left)
        with reading() as session:
            both = [
                session.get_one(Ranking, name).calibration["coefficients"]
                for name in (before, after["ranking"])
            ]
        assert both[0] == both[1]


def spoil(world: World) -> None:
    """A quarter of the letters get a wrong value for remorse: of half of them the model is sure, of the others it sees nothing."""
    with writing() as session:
        for number, (name, (case, content)) in enumerate(letters(40).items()):
            if number % 4 == 2 and case != "z":
                said = truth_of(content)
                annotate(
                    session, world.built, name, "ann", "arguments", [1 - said[0], said[1]],
                    annotated_at=datetime(2021, 1, 1, tzinfo=UTC),
                )  # fmt: skip
                world.wrong.add((name, "remorse"))


def closed_sample(world: World, relabelled: dict[str, Any], drawn: int) -> tuple[str, list[str]]:
    """A simple random sample of letters that were read as they are, closed; its id and the drawn letters."""
    blobs = BlobStore(get_settings().blob_root)
    contents = letters(40)
    names = [name for name, (case, _) in contents.items() if case != "z"]
    order = np.random.default_rng(3).permutation(len(names))
    place = np.full(len(names), -1, dtype=np.int32)
    place[order[:drawn]] = np.arange(drawn)
    truth = np.array([truth_of(contents[name][1]) for name in names], dtype=np.int8)
    wrong = np.array([[(name, option) in world.wrong for option in ("remorse", "family")] for name in names])
    frame = Frame(
        text_ids=np.array([world.built.texts[name] for name in names]),
        text_version_ids=np.array([world.built.versions[name] for name in names]),
        external_ids=names,
        stratum=np.zeros(len(names), dtype=np.int32),
        place=place,
        given=np.where(wrong, 1 - truth, truth).astype(np.int8),
        audited=np.ones((len(names), 2), dtype=np.bool_),
        suspicion=np.full((len(names), 2), np.nan, dtype=np.float32),
    )
    blob = blobs.put_bytes(to_arrow(frame))
    with writing() as session:
        session.add(Blob(digest=blob.digest, size=blob.size, media_type="x", purpose="test"))
        session.flush()
        snapshot = session.scalars(select(LabelSnapshot.id)).first()
        sample = AuditSample(
            id=new_id("aud"), corpus_id=world.built.corpus_id, name="spring", purpose="totals", snapshot_id=snapshot,
            run_id=relabelled["run"], ranking_id=relabelled["ranking"], scheme_version=1, option_keys=["remorse", "family"],
            readers=1, state="closed", design={}, seed=3, frame_blob=blob.digest, seal_blob=blob.digest, closed_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(sample)
        session.flush()
        for row in order[:drawn]:
            session.add(
                AuditReading(
                    audit_sample_id=sample.id, text_id=int(frame.text_ids[row]), text_version_id=int(frame.text_version_ids[row]),
                    reader="vera", role="reader", values=truth[row].tolist(),
                )
            )  # fmt: skip
        return sample.id, [names[row] for row in order[:drawn]]
