"""A corpus summarized by a job: every text once, resumed where it stopped, listed, exported, deleted with its corpus."""

from __future__ import annotations

import csv
import io
import json

import pytest
from sqlalchemy import inspect, select

from app.db.session import reading, writing
from app.db.tables import Adapter, Summary, SummaryRun
from app.jobs.chunks import chunk_ends
from app.jobs.queries import create_job
from app.summaries.queries import list_summary_runs
from tests.integration.review_corpus import add_version
from tests.integration.summaries.conftest import LETTER
from tests.writing import WordModel
from workers.stopping import StopFlag
from workers.summarize.job import CHUNK_CHARACTERS, CHUNK_TEXTS


def listed(client, **params):
    answer = client.get("/summaries", params={"corpus": "judgments", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_every_text_is_summarized_by_its_own_sentences(client, world, summarized):
    job = summarized(method="lead", max_sentences=2)
    assert (job.state, job.result["texts"], job.result["without_summary"]) == ("succeeded", 40, 0)
    page = listed(client)
    assert [item["external_id"] for item in page["items"]] == [f"j{number}" for number in range(40)]
    first = page["items"][0]
    assert first["summary"].endswith("He is sorry for what he did.")
    assert (first["strategy"], first["supported_share"], first["current"]) == ("extractive", None, True)
    text = client.get(f"/corpora/judgments/texts/{first['text_id']}").json()["content"]
    assert " ".join(text[start:end] for start, end in first["details"]["sentences"]) == first["summary"]
    run = client.get("/summary-runs", params={"corpus": "judgments"}).json()["items"][0]
    assert (run["id"], run["watermark"], run["method"]) == (page["run_id"], 40, "lead")
    assert run["finished_at"] is not None


def test_an_adapter_writes_and_each_summary_is_held_against_its_text(client, world, summarized):
    def write(prompt, most):
        number = prompt.rsplit("number ", 1)[1].rstrip(".")
        words = (
            f"x: His children miss him. He paid {number} euros."
            if int(number) % 2
            else "x: His children miss him."
        )
        return WordModel().write(words, most)

    world.worker.model.write = write
    job = summarized(method="abstractive", adapter=world.adapter_id, max_words=30)
    assert job.result["model"] == {
        "name": "tiny-t5", "sha256": "5" * 64, "adapter": "d" * 64, "family": "t5", "longest_input": 120
    }  # fmt: skip
    assert all(body["lane"] == "bulk" for body in world.worker.asked("/generate"))
    half = listed(client, max_supported=0.5)["items"]
    assert len(half) == 20
    assert all(item["faithfulness"]["unsupported"][0]["text"].endswith("euros") for item in half)
    assert len(listed(client, min_supported=0.51)["items"]) == 20
    events = client.get(f"/summary-jobs/{job.id}/events").text
    assert "event: frozen" in events
    assert "event: succeeded" in events


def test_below_the_floor_a_text_has_no_summary_but_a_reason(client, world, summarized):
    world.worker.model.write = lambda _prompt, most: WordModel().write("x: Whales sing opera.", most)
    job = summarized(method="abstractive", adapter=world.adapter_id, min_supported=0.5)
    assert job.result["without_summary"] == 40
    item = listed(client, without=True)["items"][0]
    assert (item["summary"], item["supported_share"], item["error"]["code"]) == (
        None,
        0,
        "summary-unsupported",
    )
    assert item["faithfulness"]["sentences"][0]["supported"] is False


def test_a_stopped_job_goes_on_after_its_watermark_and_does_no_text_twice(client, world, attempt):
    made = client.post(
        "/summary-jobs", json={"corpus": "judgments", "method": "abstractive", "adapter": world.adapter_id}
    )
    job_id = made.json()["id"]
    flag, worker = StopFlag(), world.worker
    written = worker.model.write

    def write(prompt, most):
        with reading() as session:
            if session.scalars(select(SummaryRun.watermark)).one():
                flag.stop("shutdown")
        return written(prompt, most)

    worker.model.write = write
    job = attempt(job_id, flag)
    assert job.state == "queued"
    with reading() as session:
        done = session.scalars(select(SummaryRun.watermark)).one()
    assert 0 < done < 40
    worker.model.write = written
    before = len(worker.asked("/generate"))
    assert attempt(job_id).state == "succeeded"
    assert len(worker.asked("/generate")) - before == 40 - done
    with reading() as session:
        assert session.query(Summary).count() == 40
        assert session.query(SummaryRun).count() == 1


def test_a_text_that_the_model_cannot_take_has_a_reason_and_stops_no_other(client, world, summarized):
    refusal = {
        "code": "prompt-too-long",
        "detail": "prompt 0 has 130 tokens, the model reads 120: shorten it",
    }
    world.worker.refuses = (422, refusal)
    job = summarized(method="abstractive", adapter=world.adapter_id)
    assert (job.state, job.result["without_summary"]) == ("succeeded", 40)
    assert {item["error"]["code"] for item in listed(client, without=True)["items"]} == {"prompt-too-long"}


def test_lists_of_runs_leave_the_frozen_list_of_texts_where_it_is(client, world, summarized):
    summarized(method="lead")
    with reading() as session:
        (run,) = list_summary_runs(session, world.built.corpus_id, None, 10)
        assert "text_version_ids" in inspect(run).unloaded  # as long as the corpus
        assert len(run.text_version_ids) == 40


def test_it_can_be_cancelled_and_paused_by_its_routes(client, world):
    job = client.post("/summary-jobs", json={"corpus": "judgments", "method": "lead"}).json()
    assert client.post(f"/summary-jobs/{job['id']}/pause").json()["state"] == "paused"
    assert client.post(f"/summary-jobs/{job['id']}/resume").json()["state"] == "queued"
    assert client.post(f"/summary-jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert [found["id"] for found in client.get("/summary-jobs").json()["items"]] == [job["id"]]


def test_a_run_keeps_to_the_texts_of_its_start(client, world, summarized):
    summarized(method="lead", max_sentences=1)
    with writing() as session:
        add_version(session, world.built, "j0", "Something else was written.")
    first = listed(client)["items"][0]
    assert (first["text_version"], first["current"]) == (1, False)
    again = summarized(method="lead", max_sentences=1)
    newest = listed(client, text_id=first["text_id"])["items"][0]
    assert (newest["summary"], newest["current"]) == ("Something else was written.", True)
    old = client.get("/summary-runs").json()["items"][1]["id"]
    assert listed(client, run=old)["items"][0]["current"] is False
    assert again.result["run"] != old


def test_pages_walk_all_and_cursors_are_good_for_their_run_alone(client, world, summarized):
    summarized(method="lead")
    found, cursor = [], None
    while True:
        page = listed(client, limit=15, **({"cursor": cursor} if cursor else {}))
        found += [item["external_id"] for item in page["items"]]
        cursor, last = page["next_cursor"], cursor
        if cursor is None:
            break
    assert found == [f"j{number}" for number in range(40)]
    summarized(method="lead")
    foreign = client.get("/summaries", params={"corpus": "judgments", "cursor": last})
    assert foreign.json()["type"].endswith("foreign-cursor")
    one = listed(client, text_id=f"txt_{world.built.texts['j7']}")["items"]
    assert [item["external_id"] for item in one] == ["j7"]


def test_a_walk_beside_a_running_job_misses_no_text_and_edited_ones_keep_their_place(client, world, attempt):
    with writing() as session:
        add_version(session, world.built, "j3", f"Edited before. {LETTER}")
    made = client.post(
        "/summary-jobs", json={"corpus": "judgments", "method": "abstractive", "adapter": world.adapter_id}
    )
    job_id, flag, written = made.json()["id"], StopFlag(), world.worker.model.write

    def write(prompt, most):
        with reading() as session:
            if session.scalars(select(SummaryRun.watermark)).one():
                flag.stop("shutdown")
        return written(prompt, most)

    world.worker.model.write = write
    attempt(job_id, flag)
    page = listed(client, limit=10)
    found = [item["external_id"] for item in page["items"]]
    assert (page["finished"], page["next_cursor"] is not None) == (False, True)
    with writing() as session:
        add_version(session, world.built, "j5", "Edited while the job is at work.")
        add_version(session, world.built, "j30", "Edited while the job is at work.")
    assert attempt(job_id).state == "succeeded"
    while page["next_cursor"]:
        page = listed(client, limit=10, cursor=page["next_cursor"])
        found += [item["external_id"] for item in page["items"]]
    assert page["finished"] is True
    assert found == [f"j{number}" for number in range(40)]
    current = {item["external_id"]: item["current"] for item in listed(client, limit=200)["items"]}
    assert [name for name, now in current.items() if not now] == ["j5", "j30"]
    exported = csv.DictReader(io.StringIO(client.get("/summaries/export?corpus=judgments").text))
    assert [row["external_id"] for row in exported] == found
    shown = client.get("/summarized?corpus=judgments").text
    assert shown.index("txt_" + str(world.built.texts["j3"])) < shown.index(
        "txt_" + str(world.built.texts["j4"])
    )


def test_summaries_are_exported_for_spreadsheets_and_whole(client, world, summarized):
    world.worker.model.write = lambda _prompt, most: WordModel().write(
        "x: =sum costs $7. His children miss him.", most
    )
    summarized(method="abstractive", adapter=world.adapter_id)
    answer = client.get("/summaries/export", params={"corpus": "judgments"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 40
    assert rows[0]["summary"].startswith("'=sum")
    assert (rows[0]["unsupported"], rows[0]["supported_share"]) == ("number: $7", "0.5")
    lines = client.get(
        "/summaries/export", params={"corpus": "judgments", "format": "jsonl", "with_text": True}
    ).text
    first = json.loads(lines.splitlines()[0])
    assert first["faithfulness"]["unsupported"][0]["text"] == "$7"
    assert first["text"].startswith("Your Honor")


def test_a_corpus_without_summaries_has_none_and_says_so(client, world):
    assert listed(client) == {"items": [], "next_cursor": None, "run_id": None, "finished": False}
    assert client.get("/summaries", params={"corpus": "judgments", "run": "smr_x"}).status_code == 404
    assert client.get("/summaries").json()["type"].endswith("corpus-missing")
    assert client.get("/summaries/export", params={"corpus": "judgments"}).text.startswith("external_id,")


WRONG = [
    ({"corpus": "nothing"}, (404, "/corpus")),
    ({"method": "abstractive"}, (409, "/corpus")),
    ({"method": "abstractive", "adapter": "adp_x"}, (404, "/adapter")),
    ({"method": "lead", "base_model": "nothing"}, (422, "/base_model")),
    ({"method": "lead", "min_supported": 0.4}, (422, "/min_supported")),
    ({"method": "lead", "max_words": 3, "ratio": 0.1}, (422, "/max_sentences")),
]


@pytest.mark.parametrize(("body", "expected"), WRONG)
def test_what_cannot_be_started_is_said(client, world, body, expected):
    answer = client.post("/summary-jobs", json={"corpus": "judgments", **body})
    assert (answer.status_code, answer.json()["field"]) == expected


def test_an_adapter_deleted_meanwhile_ends_the_job_with_its_reason(world, attempt, engine):
    with writing() as session:
        params = {"method": "abstractive", "adapter": world.adapter_id}
        job_id = create_job(session, "summary", world.built.corpus_id, params, "ada").id
        session.delete(session.get_one(Adapter, world.adapter_id))
    job = attempt(job_id)
    assert (job.state, job.error["code"]) == ("failed", "adapter-gone")


def test_an_adapter_can_be_deleted_after_its_run(client, world, summarized):
    summarized(method="abstractive", adapter=world.adapter_id)
    with writing() as session:
        session.delete(session.get_one(Adapter, world.adapter_id))
    run = client.get("/summary-runs").json()["items"][0]
    assert (run["adapter_id"], run["model"]["adapter"]) == (None, "d" * 64)
    assert len(listed(client)["items"]) == 40


def test_a_worker_without_the_embedder_is_told_once_and_words_decide(client, world, summarized):
    world.worker.embedder = False
    job = summarized(method="mmr", max_sentences=1)
    assert client.get(f"/summary-jobs/{job.id}/events").text.count("no-embedder") == 1
    assert "chosen by lexrank" in listed(client)["items"][0]["details"]["warnings"][0]


def test_deleting_the_corpus_takes_runs_and_summaries_with_it(client, world, summarized):
    summarized(method="lead")
    etag = client.get("/corpora/judgments").headers["ETag"]
    assert client.delete("/corpora/judgments", headers={"If-Match": etag}).status_code == 204
    with reading() as session:
        assert session.query(Summary).count() == session.query(SummaryRun).count() == 0


def test_chunks_keep_to_texts_and_characters():
    limits = CHUNK_TEXTS, CHUNK_CHARACTERS
    assert list(chunk_ends([1] * 40, 0, *limits)) == [16, 32, 40]
    assert list(chunk_ends([150_000, 100_000, 10, 300_000, 1], 0, *limits)) == [1, 3, 4, 5]
    assert list(chunk_ends([1] * 40, 32, *limits)) == [40]
    assert list(chunk_ends([], 0, *limits)) == []
