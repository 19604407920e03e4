"""The whole life of an audit sample: planned, sealed, read blind, closed, told, released."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, text

from app.audits.settled import closed_samples, settled
from app.blobs import BlobStore
from app.corpora.snapshots import current_labels
from app.db.session import get_engine, reading
from app.http.problems import Conflict
from app.settings import get_settings
from models.audit.sample.design import broken_seal
from models.scheme import MISSING
from tests.audits import TEXTS, Values, close, draw, given_of, number_of_text, read_all, truth_of
from tests.integration.audits.conftest import Person
from tests.integration.review_corpus import Built


def rows(engine: Engine, sql: str) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(sql)))


def test_a_plan_tells_the_price_and_stores_nothing(ada: TestClient, engine: Engine) -> None:
    asked = {"corpus": "letters", "budget": 40, "readers": 2}
    answer = ada.post(
        "/audit-samples", json=asked, params={"dry_run": True}, headers={"Idempotency-Key": "one"}
    )
    assert answer.status_code == 200
    plan = answer.json()
    assert (plan["size"], plan["readings"], plan["frame"], plan["cells"]) == (20, 40, TEXTS, 3 * TEXTS)
    assert plan["design"] == "stratified"
    assert sum(stratum["texts"] for stratum in plan["strata"]) == TEXTS
    rare = next(c for c in plan["certifiable"] if (c["option"], c["value"]) == ("dependants", "yes"))
    assert rare["labels"] == 15
    assert "not certifiable at this budget" in rare["not_certifiable"]
    bases = [interval["basis"] for interval in plan["intervals"]]
    assert bases == ["supposed"] * 5 + ["suspicion"]
    for interval in plan["intervals"]:
        assert 0 <= interval["low"] <= interval["wrong"] <= interval["high"] <= 3 * TEXTS
    assert rows(engine, "SELECT 1 FROM audit_samples") == []
    # the key is still free for the real thing
    again = ada.post("/audit-samples", json=asked, headers={"Idempotency-Key": "one"})
    assert again.status_code == 201
    same = ada.post("/audit-samples", json=asked, headers={"Idempotency-Key": "one"})
    assert same.json()["id"] == again.json()["id"]
    assert len(rows(engine, "SELECT 1 FROM audit_samples")) == 1


def test_one_reader_from_the_draw_to_the_reviews(
    ada: TestClient, person: Person, built: Built, engine: Engine
) -> None:
    sample = draw(ada, size=30, seed=7, name="first")
    vera, place = person("vera"), f"/audit-samples/{sample['id']}"
    # nobody is told anything before the end, neither result nor the score bands
    for path in ("result", "seal"):
        early = ada.get(f"{place}/{path}")
        assert (early.status_code, early.json()["type"]) == (409, "urn:remand:problem:audit-sample-open")
    refused = ada.post(f"{place}/release")
    assert refused.json()["type"] == "urn:remand:problem:audit-sample-open"
    shown = vera.get(f"{place}/texts/next").json()
    assert shown["role"] == "reader"
    assert set(shown["text"]) == {
        "text_id", "external_id", "place", "content", "cells", "note", "shown_before",
    }  # fmt: skip
    assert [cell["key"] for cell in shown["text"]["cells"]] == ["remorse", "dependants", "outcome"]
    assert "suspicion" not in json.dumps(shown)
    assert read_all(vera, sample["id"], most=29) == 29
    half = ada.post(f"{place}/close", json={})
    assert (half.status_code, half.json()["unread"]) == (409, 1)
    read_all(vera, sample["id"])
    with reading() as session, pytest.raises(Conflict):
        settled(session, sample["id"], BlobStore(get_settings().blob_root))
    before = current(built)
    result = close(ada, sample["id"])
    drawn = drawn_numbers(engine, sample["id"])
    wrong = sum(given_of(n)[key] != truth_of(n)[key] for n in drawn for key in truth_of(n))
    assert result["labels"]["found"] == wrong
    assert result["labels"]["read"] == 90
    assert result["labels"]["low"] <= 9 <= result["labels"]["high"]
    assert result["not_blind"] == 0
    assert result["stopping"] is None
    assert any("One person read" in sentence for sentence in result["words"])
    assert ada.get(f"{place}/result").json() == result
    assert ada.post(f"{place}/close", json={}).status_code == 409
    assert vera.get(f"{place}/texts/next").status_code == 409
    assert current(built) == before  # closing changes no label
    released = ada.post(f"{place}/release").json()
    assert released == {"reviews": 90, "corrections": wrong, "filled": 0, "kept": 0, "contradicted": 0}
    after = current(built)
    assert {n: after[n] for n in drawn} == {n: truth_of(n) for n in drawn}
    assert {n: after[n] for n in after if n not in drawn} == {n: given_of(n) for n in after if n not in drawn}
    assert ada.post(f"{place}/release").status_code == 409
    stored = rows(engine, "SELECT DISTINCT reviewer, audit_sample_id, shown ->> 'blind' FROM reviews")
    assert [tuple(row) for row in stored] == [("vera", sample["id"], "true")]
    told = rows(engine, "SELECT actor FROM audit_log WHERE action = 'audit-sample.result'")
    assert [row.actor for row in told] == ["ada"]


def test_the_seal_is_what_was_told_at_the_draw(ada: TestClient, person: Person) -> None:
    sample = draw(ada, size=12, seed=3)
    read_all(person("vera"), sample["id"])
    close(ada, sample["id"])
    document = ada.get(f"/audit-samples/{sample['id']}/seal").content
    assert hashlib.sha256(document).hexdigest() == sample["seal"]
    opened = json.loads(document)
    assert not broken_seal(opened["sample"])
    assert opened["sample"]["design"]["seed"] == 3
    assert sum(stratum["drawn"] for stratum in opened["sample"]["strata"]) == 12
    opened["sample"]["drawn"].pop()
    assert broken_seal(opened["sample"])


def test_the_same_seed_draws_the_same_texts(ada: TestClient, engine: Engine) -> None:
    one, two, three = (draw(ada, size=20, seed=seed, design="random") for seed in (1, 1, 2))
    drawn = [drawn_numbers(engine, sample["id"]) for sample in (one, two, three)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert [sample["name"] for sample in (one, two, three)] == ["audit 1", "audit 2", "audit 3"]


def test_two_readers_and_an_adjudicator(ada: TestClient, person: Person, engine: Engine) -> None:
    sample = draw(ada, size=24, readers=2, seed=5)
    place = f"/audit-samples/{sample['id']}"

    def overlooks(number: int, true: Values) -> Values:
        """Wim keeps the given label of every other text."""
        return given_of(number) if number % 20 == 10 else true

    vera, wim, xen = person("vera"), person("wim"), person("xen")
    assert read_all(vera, sample["id"]) == 24
    waiting = xen.get(f"{place}/texts/next").json()
    assert waiting["role"] == "reader"  # the second seat is free
    assert read_all(wim, sample["id"], overlooks) == 24
    disputes = [n for n in drawn_numbers(engine, sample["id"]) if n % 20 == 10]
    assert disputes, "the seed is to draw some"
    state = ada.get(place).json()["progress"]
    assert (state["unread"], state["disputes"]) == (0, len(disputes))
    early = ada.post(f"{place}/close", json={}).json()
    assert (early["unread"], early["disputes"]) == (0, len(disputes))
    asked = xen.get(f"{place}/texts/next").json()
    assert asked["role"] == "adjudicator"
    assert [cell["key"] for cell in asked["text"]["cells"]] == ["remorse"]
    assert all(cell["value"] is None for cell in asked["text"]["cells"])
    assert "vera" not in json.dumps(asked["text"])
    for reader in (vera, wim):  # who has read cannot settle the dispute
        assert reader.get(f"{place}/texts/next", params={"role": "adjudicator"}).status_code == 403
    assert read_all(xen, sample["id"]) == len(disputes)
    result = close(ada, sample["id"])
    pair = result["two_readers"]
    assert (pair["cells"], pair["disputes"], pair["adjudicated"]) == (72, len(disputes), len(disputes))
    assert pair["agreement"] == pytest.approx(1 - len(disputes) / 72)
    assert pair["kappa"] is not None
    ada.post(f"{place}/release")
    by = rows(engine, "SELECT reviewer, count(*) FROM reviews GROUP BY reviewer ORDER BY reviewer")
    assert [tuple(row) for row in by] == [("vera", 72 - len(disputes)), ("xen", len(disputes))]


def test_one_query_tells_how_far_many_samples_are(ada: TestClient, person: Person) -> None:
    """Two people who differ leave a dispute until the adjudicator has read after both; other samples are not mixed in."""
    vera, wim, xen = person("vera"), person("wim"), person("xen")
    names = [draw(ada, size=3, seed=seed, readers=2, design="random", name=f"no. {seed}")["id"] for seed in (1, 2, 3)]  # fmt: skip
    read_all(vera, names[0])
    read_all(wim, names[0], answer=lambda _number, asked: {**asked, "remorse": "uncertain"})
    read_all(vera, names[1])
    asked: list[str] = []

    def heard(*given: Any) -> None:
        asked.append(given[2])

    event.listen(get_engine(), "before_cursor_execute", heard)
    listed = {sample["id"]: sample["progress"] for sample in ada.get("/audit-samples").json()["items"]}
    event.remove(get_engine(), "before_cursor_execute", heard)
    assert len([sql for sql in asked if "audit_readings" in sql]) == 1
    told = [(listed[name]["unread"], listed[name]["disputes"], [p["name"] for p in listed[name]["people"]]) for name in names]  # fmt: skip
    assert told == [(0, 3, ["vera", "wim"]), (3, 0, ["vera"]), (6, 0, [])]
    assert listed == {name: ada.get(f"/audit-samples/{name}").json()["progress"] for name in names}
    read_all(xen, names[0], most=1)
    one = ada.get(f"/audit-samples/{names[0]}").json()["progress"]
    assert (one["disputes"], one["people"][2]) == (2, {"name": "xen", "role": "adjudicator", "read": 1, "not_blind": 0})  # fmt: skip


def test_a_fourth_person_finds_no_seat(ada: TestClient, person: Person) -> None:
    sample = draw(ada, size=4, readers=1, design="random")
    read_all(person("vera"), sample["id"], most=1)
    refused = person("wim").get(f"/audit-samples/{sample['id']}/texts/next")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:remand:problem:no-seat")
    assert "vera" in refused.json()["detail"]
    assert person("rita").get(f"/audit-samples/{sample['id']}/texts/next").status_code == 403


def test_skips_and_what_is_not_read_count_against(ada: TestClient, person: Person) -> None:
    sample = draw(ada, size=60, design="random")
    vera, place = person("vera"), f"/audit-samples/{sample['id']}"
    first = vera.get(f"{place}/texts/next").json()["text"]["text_id"]
    assert vera.put(f"{place}/texts/{first}/reading", json={"skip": True}).status_code == 200
    read_all(vera, sample["id"], lambda _n, true: true | {"dependants": "uncertain"}, most=49)
    refused = ada.post(f"{place}/close", json={})
    assert refused.json()["unread"] == 10
    result = close(ada, sample["id"], skip_unread=True)
    labels = result["labels"]
    assert labels["skipped"] == 3 + 49 + 30
    assert labels["high"] >= labels["found"] + labels["skipped"]  # all of the corpus was drawn
    assert labels["low"] == pytest.approx(labels["found"])
    assert labels["total"] - labels["total_without_skips"] == pytest.approx(labels["skipped"])
    assert any("skipped" in sentence for sentence in result["words"])
    assert result["unread"] == 10
    assert "read blind, but for 10 readings that nobody made" in result["words"][0]


def test_what_nobody_has_read_says_nothing(ada: TestClient) -> None:
    result = close(ada, draw(ada, size=20)["id"], skip_unread=True)
    assert result["words"] == ["20 of 60 texts were drawn at random and nobody read any: nothing is known."]
    assert [one["read"] for one in result["annotators"]["annotators"]] == [0]


def test_a_later_reading_replaces_ones_own_until_it_is_closed(
    ada: TestClient, person: Person, engine: Engine
) -> None:
    sample = draw(ada, size=1, design="random", options=["remorse"])
    vera, place = person("vera"), f"/audit-samples/{sample['id']}"
    shown = vera.get(f"{place}/texts/next").json()["text"]
    where = f"{place}/texts/{shown['text_id']}"
    right = str(truth_of(number_of_text(shown))["remorse"])
    for value in ("uncertain", right):
        assert vera.put(f"{where}/reading", json={"values": {"remorse": value}, "note": value}).status_code == 200  # fmt: skip
    own = vera.get(where).json()
    assert (own["cells"][0]["value"], own["note"]) == (right, right)
    assert close(ada, sample["id"])["labels"]["skipped"] == 0
    late = vera.put(f"{where}/reading", json={"values": {"remorse": "no"}})
    assert (late.status_code, late.json()["type"]) == (409, "urn:remand:problem:audit-sample-closed")
    assert len(rows(engine, "SELECT 1 FROM audit_readings")) == 2


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"values": {"remorse": "yes", "dependants": "no"}}, "/values/outcome"),
        ({"values": {"remorse": "granted", "dependants": "no", "outcome": "open"}}, "/values/remorse"),
        ({"values": {"remorse": "yes", "dependants": "no", "outcome": "yes"}}, "/values/outcome"),
        (
            {"values": {"remorse": "yes", "dependants": "no", "outcome": "open", "youth": "no"}},
            "/values/youth",
        ),
    ],
)
def test_a_reading_says_something_of_every_cell(
    ada: TestClient, person: Person, said: dict[str, Any], field: str
) -> None:
    sample = draw(ada, size=2, design="random")
    vera, place = person("vera"), f"/audit-samples/{sample['id']}"
    text_id = vera.get(f"{place}/texts/next").json()["text"]["text_id"]
    refused = vera.put(f"{place}/texts/{text_id}/reading", json=said)
    assert (refused.status_code, refused.json()["field"]) == (422, field)


def test_who_had_been_shown_the_labels_is_no_blind_reader(
    ada: TestClient, person: Person, built: Built
) -> None:
    """The server's own record says so, reading by reading, and the result warns."""
    sample = draw(ada, size=60, design="random")
    vera, place = person("vera"), f"/audit-samples/{sample['id']}"
    assert vera.get("/label-disagreements", params={"corpus": "letters"}).status_code == 200
    blind = {}
    while (shown := vera.get(f"{place}/texts/next").json()["text"]) is not None:
        values = truth_of(number_of_text(shown))
        answer = vera.put(f"{place}/texts/{shown['text_id']}/reading", json={"values": values}).json()
        blind[shown["external_id"]] = answer["blind"]
        assert answer["blind"] is not shown["shown_before"]
    assert [name for name, was in blind.items() if not was] == ["letter-0"]
    result = close(ada, sample["id"])
    assert (result["not_blind"], result["readings"]) == (1, 60)
    assert any("not blind" in sentence for sentence in result["words"])
    ada.post(f"{place}/release")
    assert built.texts["letter-0"]


def test_what_reviews_decided_meanwhile_is_left_alone(ada: TestClient, person: Person, built: Built) -> None:
    sample = draw(ada, size=60, design="random", options=["remorse"])
    read_all(person("vera"), sample["id"])
    found = ada.get(f"/label-disagreements/dis_{built.disagreements[0]}")
    decided = ada.put(
        f"/label-disagreements/dis_{built.disagreements[0]}/review",
        json={"value": given_of(0)["remorse"]},
        headers={"If-Match": found.headers["ETag"]},
    )
    assert decided.status_code in {200, 201}, decided.text
    close(ada, sample["id"])
    released = ada.post(f"/audit-samples/{sample['id']}/release").json()
    assert released == {"reviews": 59, "corrections": 5, "filled": 0, "kept": 1, "contradicted": 1}
    assert current(built)[0]["remorse"] == given_of(0)["remorse"]


def test_other_parts_get_the_settled_values(ada: TestClient, person: Person, built: Built) -> None:
    sample = draw(ada, size=20, seed=2)
    read_all(
        person("vera"), sample["id"], lambda n, true: true | ({"outcome": None} if n % 2 else {}), most=19
    )
    close(ada, sample["id"], skip_unread=True)
    blobs = BlobStore(get_settings().blob_root)
    with reading() as session:
        assert closed_samples(session, built.corpus_id) == [sample["id"]]
        assert closed_samples(session, built.corpus_id, "stopping") == []
        found = settled(session, sample["id"], blobs)
    names = {number: name for name, number in built.texts.items()}
    assert found.option_keys == ("remorse", "dependants", "granted", "denied", "open")
    assert found.inclusion.shape == (20,)
    assert (1 / found.inclusion).sum() == pytest.approx(TEXTS)
    for place, text_id in enumerate(found.text_ids.tolist()):
        number = int(names[text_id].removeprefix("letter-"))
        said, true = given_of(number), truth_of(number)
        assert found.given[place, 0] == int(said["remorse"] == "yes")
        if place == 19:
            assert found.truth[place].tolist() == [MISSING] * 5
            continue
        assert found.truth[place, 0] == int(true["remorse"] == "yes")
        known = found.truth[place, 2:] != MISSING
        assert known.all() == (number % 2 == 0)


def test_without_a_ranking_a_sample_is_random(ada: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM relabel_runs"))
    refused = ada.post("/audit-samples", json={"corpus": "letters", "size": 10, "design": "stratified"})
    assert (refused.status_code, refused.json()["field"]) == (422, "/design")
    sample = draw(ada, size=10)
    assert (sample["design"], sample["ranking_id"], len(sample["strata"])) == ("random", None, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "/size"),
        ({"size": 3, "budget": 3}, "/budget"),
        ({"size": 61}, "/size"),
        ({"size": 3, "adjudicator": True}, "/adjudicator"),
        ({"size": 3, "options": ["remorse", "nope"]}, "/options/1"),
        ({"size": 3, "stopping": {"at_most": 3}}, "/stopping"),
        ({"size": 9, "bands": 8}, "/size"),  # fewer than two texts of every band
        ({"purpose": "stopping"}, "/stopping"),
        ({"purpose": "stopping", "plan": "aud_x"}, "/plan"),
        ({"purpose": "stopping", "stopping": {"at_most": 3}, "design": "stratified"}, "/design"),
        ({"size": 3, "name": " "}, "/name"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(ada: TestClient, body: dict[str, Any], field: str) -> None:
    refused = ada.post("/audit-samples", json={"corpus": "letters", **body})
    assert (refused.status_code, refused.json()["field"]) == (422, field), refused.text


def test_names_are_unique_in_their_corpus(ada: TestClient) -> None:
    draw(ada, size=3, design="random", name="once")
    again = ada.post("/audit-samples", json={"corpus": "letters", "size": 3, "name": "once", "design": "random"})  # fmt: skip
    assert (again.status_code, again.json()["field"]) == (409, "/name")


def test_a_draw_that_fails_leaves_nothing(
    ada: TestClient, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sample, texts, blobs' rows and the log are one transaction."""
    from app.audits import drawing

    def dies(*_given: Any) -> list[dict[str, Any]]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawing, "_texts", dies)
    assert ada.post("/audit-samples", json={"corpus": "letters", "size": 20}).status_code == 507
    for table in ("audit_samples", "audit_sample_texts", "label_snapshots WHERE digest NOT LIKE 'd_%'", "blobs WHERE purpose LIKE 'audit%'"):  # fmt: skip
        assert rows(engine, f"SELECT 1 FROM {table}") == [], table


def drawn_numbers(engine: Engine, sample_id: str) -> list[int]:
    found = rows(
        engine,
        f"SELECT t.external_id FROM audit_sample_texts s JOIN texts t ON t.id = s.text_id WHERE s.audit_sample_id = '{sample_id}' "
        "ORDER BY s.reading_order",
    )
    return [int(row.external_id.removeprefix("letter-")) for row in found]


def current(built: Built) -> dict[int, Values]:
    """The labels in force by text."""
    with reading() as session:
        frozen = current_labels(session, built.corpus_id)
    found = {}
    for name, values in zip(frozen.frame["external_id"].to_list(), frozen.values.tolist(), strict=True):
        answers = dict(
            zip(("remorse", "dependants"), ("yes" if v else "no" for v in values[:2]), strict=True)
        )
        outcome = ("granted", "denied", "open")[values[2:].index(1)]
        found[int(name.removeprefix("letter-"))] = {**answers, "outcome": outcome}
    return found


def test_a_yardstick_that_no_model_trains_on(ada: TestClient, built: Built) -> None:
    sample = draw(ada, size=20)
    asked = {"corpus": built.corpus_id, "exclude_audit_samples": [sample["id"]]}
    preview = ada.post("/train-jobs", json=asked, params={"dry_run": True}).json()
    assert preview["rows"] == TEXTS - 20
    refused = ada.post("/train-jobs", json=asked | {"exclude_audit_samples": ["aud_x"]})
    assert (refused.status_code, refused.json()["field"]) == (422, "/exclude_audit_samples/0")
