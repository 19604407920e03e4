"""Samples over HTTP: drawn by jobs, recorded with their probabilities, reproducible, and refused where they make no sense."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from app.db.session import writing
from app.db.tables import Corpus
from tests.integration.review_corpus import Built, add_version
from tests.integration.samples.conftest import COUNT
from tests.samples import draw, run_sample_job, texts_of


def external(client: TestClient, sample: dict[str, Any]) -> list[str]:
    return [text["external_id"] for text in texts_of(client, sample["id"])]


def test_a_stratified_sample_is_drawn_and_reported(client: TestClient, corpus: Built) -> None:
    sample = draw(client, "letters", strategy="stratified", size=30, seed=1, clusters=3)
    assert (sample["size"], sample["frame"], sample["certain"], sample["represents_frame"]) == (
        30,
        90,
        0,
        True,
    )
    assert sample["snapshot_id"].startswith("snp_")
    strata = sample["report"]["strata"]
    assert (sum(entry["texts"] for entry in strata), sum(entry["drawn"] for entry in strata)) == (90, 30)
    assert {part["yes"] for entry in strata for part in entry["parts"]} >= {None, 0, 1}
    assert any(entry["top_terms"][0] for entry in strata)
    assert sample["report"]["clusters"]["fitted_on"] == 60, "no text of the split Val"
    texts = texts_of(client, sample["id"], limit=7)
    assert [text["place"] for text in texts] == list(range(1, 31))
    for text in texts:
        stratum = strata[text["stratum"]]
        assert text["inclusion_probability"] == stratum["drawn"] / stratum["texts"]
        assert not text["certain"]
        assert text["beginning"]
    # by the design, 1/π over the drawn texts of a stratum counts its texts
    assert sum(1 / text["inclusion_probability"] for text in texts) == pytest.approx(90)


def test_the_seed_decides(client: TestClient, corpus: Built) -> None:
    first, again, other = (draw(client, "letters", size=20, seed=seed) for seed in (4, 4, 5))
    assert external(client, first) == external(client, again)
    assert first["report"] == again["report"]
    assert sorted(external(client, first)) != sorted(external(client, other))
    listed = client.get("/corpora/letters/samples", params={"limit": 2}).json()
    assert [item["id"] for item in listed["items"]] == [other["id"], again["id"]]
    rest = client.get("/corpora/letters/samples", params={"limit": 2, "cursor": listed["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == [first["id"]]
    assert rest["next_cursor"] is None


def test_frames(client: TestClient, corpus: Built) -> None:
    """Splits, metadata, labels and earlier samples; all conditions together."""
    frame = {"splits": ["train"], "metadata": {"year": "2001"}, "labels": "labelled"}
    first = draw(client, "letters", strategy="random", size=15, frame=frame)
    assert first["frame"] == 20
    assert {text["inclusion_probability"] for text in texts_of(client, first["id"])} == {0.75}
    rest = draw(
        client, "letters", strategy="random", size=5, frame=frame | {"exclude_samples": [first["id"]]}
    )
    assert rest["frame"] == 5
    numbers = {int(name.removeprefix("letter-")) for s in (first, rest) for name in external(client, s)}
    assert numbers == {number for number in range(30, 60) if number % 3}
    new = draw(client, "letters", strategy="random", size=30, frame={"labels": "unlabelled"})
    assert {text["labelled"] for text in texts_of(client, new["id"])} == {False}


def test_a_sensitive_corpus_shows_no_words(client: TestClient, corpus: Built, engine: Engine) -> None:
    with writing(engine) as session:
        session.get_one(Corpus, corpus.corpus_id).sensitive = True
    sample = draw(client, "letters", size=10)
    assert all("top_terms" not in entry for entry in sample["report"]["strata"])
    answer = client.get(f"/samples/{sample['id']}/export")
    assert "letters-sensitive-smp_" in answer.headers["content-disposition"]


def test_export(client: TestClient, corpus: Built) -> None:
    sample = draw(client, "letters", size=12, seed=3)
    answer = client.get(f"/samples/{sample['id']}/export", params={"with_text": True})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    texts = texts_of(client, sample["id"])
    assert [row["external_id"] for row in rows] == [text["external_id"] for text in texts]
    assert [float(row["inclusion_probability"]) for row in rows] == [
        text["inclusion_probability"] for text in texts
    ]
    assert {row["certain"] for row in rows} == {"0"}
    assert all(row["text"].startswith(text["beginning"]) for row, text in zip(rows, texts, strict=True))
    plain = client.get(f"/samples/{sample['id']}/export").text
    assert "text" not in plain.splitlines()[0].split(",")


def test_a_dry_run_counts_and_stores_nothing(client: TestClient, corpus: Built) -> None:
    body = {"strategy": "stratified", "size": 20, "frame": {"labels": "labelled"}}
    headers = {"Idempotency-Key": "k"}
    answer = client.post("/corpora/letters/samples?dry_run=true", json=body, headers=headers)
    assert answer.status_code == 200
    assert {k: answer.json()[k] for k in ("frame", "labelled", "fitted", "predicted")} == {
        "frame": 60, "labelled": 60, "fitted": 60, "predicted": None,
    }  # fmt: skip
    assert client.get("/sample-jobs").json()["items"] == []
    made = [client.post("/corpora/letters/samples", json=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in made] == [202, 202]
    assert made[0].json() == made[1].json()
    assert made[0].headers["location"] == f"/sample-jobs/{made[0].json()['id']}"


def test_an_attempt_that_comes_again_records_one_sample(
    client: TestClient, corpus: Built, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labels are frozen by the first attempt: what changes between the attempts changes nothing."""
    from app.jobs import leases
    from workers import sample

    job = client.post("/corpora/letters/samples", json={"size": 20}).json()["id"]
    real = sample.choose

    def broken(*given: Any) -> Any:
        raise RuntimeError("broke in the middle")

    monkeypatch.setattr(sample, "choose", broken)
    assert run_sample_job(client, job)["state"] == "running"
    monkeypatch.setattr(sample, "choose", real)
    with writing(engine) as session:
        leases.release(session, job, 1, code="child-died", reason="it broke", counted=True, max_attempts=3)
        add_version(session, corpus, "letter-001", "Other words altogether.")
    done = run_sample_job(client, job)
    assert done["state"] == "succeeded"
    found = client.get(f"/samples/{done['result']['sample_id']}").json()
    events = client.get(f"/sample-jobs/{job}").json()["last_event"]
    assert found["snapshot_id"] == done["result"]["snapshot_id"]
    assert events > 3
    assert len(client.get("/corpora/letters/samples").json()["items"]) == 1


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"size": COUNT + 1}, 422, "/size", "sample-too-large"),
    ({"size": 1, "frame": {"splits": ["test"]}}, 422, "/frame/splits", "unknown-split"),
    ({"size": 1, "frame": {"metadata": {"year": "1999"}}}, 422, "/frame", "empty-frame"),
    ({"size": 1, "frame": {"exclude_samples": ["smp_x"]}}, 422, "/frame/exclude_samples/0", "unknown-sample"),
    ({"size": 1, "strategy": "uncertainty"}, 409, "/strategy", "no-predictions"),
    ({"size": 1, "strategy": "diversity", "run": "run_x"}, 422, "/run", "unknown-run"),
    ({"size": 1, "strategy": "random", "clusters": 3}, 422, "/clusters", "unused-field"),
    ({"size": 1, "random_share": 0.5}, 422, "/random_share", "unused-field"),
    ({"size": 1, "held_out_splits": ["train", "val"]}, 409, "/held_out_splits", "only-held-out"),
    ({"size": 0}, 422, "/size", "invalid"),
    ({"size": 1, "strategy": "clever"}, 422, "/strategy", "invalid"),
]


def test_what_cannot_be_drawn_is_a_problem_and_makes_no_job(client: TestClient, corpus: Built) -> None:
    for body, status, field, slug in REFUSED:
        for query in ("", "?dry_run=true"):
            answer = client.post(f"/corpora/letters/samples{query}", json=body)
            problem = answer.json()
            assert (answer.status_code, problem["type"]) == (status, f"urn:remand:problem:{slug}"), problem
            assert problem["field"] == field
    assert client.get("/sample-jobs").json()["items"] == []
    for path in ("/samples/smp_x", "/samples/smp_x/texts", "/samples/smp_x/export", "/corpora/none/samples"):
        assert client.get(path).status_code == 404, path
    assert client.get("/corpora/letters/samples?cursor=made-up").status_code == 422
    client.post("/corpora", json={"name": "bare"})
    answer = client.post("/corpora/bare/samples", json={"size": 1})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:no-scheme")


def test_what_changed_since_the_request_fails_the_job_with_its_reason(
    client: TestClient, corpus: Built, engine: Engine
) -> None:
    job = client.post(
        "/corpora/letters/samples", json={"size": 30, "frame": {"labels": "unlabelled"}}
    ).json()["id"]
    from tests.integration.review_corpus import annotate

    with writing(engine) as session:
        annotate(session, corpus, "letter-000", "ann", "arguments", [1, 0])
    done = run_sample_job(client, job)
    assert (done["state"], done["error"]["code"], done["error"]["field"]) == ("failed", "sample-too-large", "/size")  # fmt: skip
    assert client.get("/corpora/letters/samples").json()["items"] == []


def test_a_corpus_with_samples_can_be_deleted(client: TestClient, corpus: Built) -> None:
    sample = draw(client, "letters", size=5)
    assert client.delete("/corpora/letters").status_code == 204
    assert client.get(f"/samples/{sample['id']}").status_code == 404


def test_the_next_texts_to_label_are_a_page(client: TestClient, corpus: Built) -> None:
    """Those of the newest sample that nobody has labelled, and a way to them from the overview."""
    assert "/next-texts" not in client.get("/").text
    assert client.get("/next-texts?corpus=letters").status_code == 404
    sample = draw(client, "letters", strategy="random", size=60)
    left = [text for text in texts_of(client, sample["id"]) if not text["labelled"]]
    assert f'href="/next-texts?corpus={corpus.corpus_id}"' in client.get("/").text
    page = client.get("/next-texts?corpus=letters")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert f"{len(left)} of the 60 texts" in page.text
    shown = [
        text["external_id"]
        for text in texts_of(client, sample["id"])
        if text["external_id"] + "<" in page.text
    ]
    assert shown == [text["external_id"] for text in left]
    last = left[-2]["place"]
    assert left[-2]["external_id"] not in client.get(f"/next-texts?corpus=letters&after={last}").text
