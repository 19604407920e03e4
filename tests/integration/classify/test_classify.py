"""POST /classify and POST /summarize through the api to a worker."""

from __future__ import annotations

import threading
from contextlib import suppress

import httpx
import pytest
from sqlalchemy import text

from app.adapters.queries import ADAPTERS_CHANNEL
from app.db.session import writing
from app.db.tables import Adapter, Blob, Corpus
from app.jobs.queries import notify
from tests.integration.inference_server import until
from tests.integration.relabel.world import adapter_row
from tests.served import served_app
from workers.inference.work import Lane

CORPUS = "synthetic letters"


def problem(answer):
    """Status, slug and field of a problem."""
    body = answer.json()
    return answer.status_code, body["type"].removeprefix("urn:remand:problem:"), body.get("field")


def test_the_promoted_adapter_answers_per_option(client, world):
    answer = client.post("/classify", json={"corpus": CORPUS, "text": "I am sorry, your honour"})
    assert answer.status_code == 200
    body = answer.json()
    assert body["model"]["adapter"] == world.adapter_id
    assert body["model"]["digest"] == "d" * 64
    (reading,) = body["results"]
    assert [
        (o["key"], o["question"], round(o["probability"], 2), o["decision"]) for o in reading["options"]
    ] == [
        ("remorse", "arguments", 0.89, True),
        ("family", "arguments", 0.09, False),
    ]
    assert (reading["windows"], reading["truncated"], reading["error"]) == (1, False, None)
    stages = [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert stages == ["load", "tokenize", "queue", "forward", "pool", "total", "transport", "api"]


def test_several_texts_by_a_named_adapter(client, world):
    texts = ["I am sorry", "my children", "nothing"]
    body = client.post("/classify", json={"adapter": world.adapter_id, "texts": texts}).json()
    decisions = [[option["decision"] for option in result["options"]] for result in body["results"]]
    assert decisions == [[True, False], [False, True], [False, False]]


def test_a_text_that_cannot_be_read_does_not_harm_the_others(client, reader):
    reader.unreadable = "broken"
    results = client.post("/classify", json={"corpus": CORPUS, "texts": ["sorry", "broken"]}).json()[
        "results"
    ]
    assert results[0]["error"] is None
    assert results[1]["error"] == "unreadable"
    assert results[1]["options"] == []


AROUND = {"before": ["(a) The applicant"], "after": []}


def test_an_adapter_that_needs_contexts_says_when_it_was_given_none(client, reader):
    asked = {"corpus": CORPUS, "text": "sorry"}
    assert client.post("/classify", json=asked).json()["warning"] is None
    reader.description["needs_context"] = True
    assert "no context" in client.post("/classify", json=asked).json()["warning"]
    assert client.post("/classify", json=asked | {"contexts": [AROUND]}).json()["warning"] is None


def test_each_text_of_a_request_is_decided_at_the_thresholds_of_the_reading_that_answered(client, reader):
    reader.description |= {"thresholds": [0.95, 0.5], "lone_thresholds": [0.3, 0.5]}
    asked = {"corpus": CORPUS, "texts": ["sorry"] * 3, "contexts": [AROUND, None, {}]}
    answer = client.post("/classify", json=asked).json()
    first = [(result["reading"], result["options"][0]) for result in answer["results"]]
    assert [(how, option["threshold"], option["decision"]) for how, option in first] == [
        ("with_context", 0.95, False), ("alone", 0.3, True), ("alone", 0.3, True),
    ]  # fmt: skip
    assert answer["warning"] is None


AT_FAULT = [
    ({"corpus": CORPUS, "text": "sorry", "contexts": []}, (422, "contexts-do-not-match", "/contexts")),
    (
        {"corpus": CORPUS, "text": "sorry", "contexts": [{}], "explain": True},
        (422, "explained-without-context", "/explain"),
    ),
    ({"corpus": CORPUS}, (422, "no-texts", "/texts")),
    ({"corpus": CORPUS, "texts": []}, (422, "no-texts", "/texts")),
    ({"corpus": CORPUS, "text": "a", "texts": ["a"]}, (422, "text-and-texts", "/texts")),
    ({"corpus": CORPUS, "texts": ["a", ""]}, (422, "empty-text", "/texts/1")),
    ({"corpus": CORPUS, "text": " "}, (422, "empty-text", "/text")),
    ({"corpus": CORPUS, "texts": ["a", "b\x00"]}, (422, "nul-character", "/texts/1")),
    ({"corpus": CORPUS, "texts": ["a"] * 257}, (413, "too-many-texts", "/texts")),
    ({"corpus": CORPUS, "texts": ["a", "b" * 200_001]}, (413, "text-too-long", "/texts/1")),
    ({"corpus": CORPUS, "texts": [1]}, (422, "invalid", "/texts/0")),
    ({"corpus": CORPUS, "text": "a", "colour": "red"}, (422, "invalid", "/colour")),
    ({"text": "a"}, (422, "adapter-missing", "/adapter")),
    ({"corpus": "no such", "text": "a"}, (404, "not-found", "/corpus")),
    ({"adapter": "adp_none", "text": "a"}, (404, "not-found", "/adapter")),
]


def test_what_is_at_fault_is_named(client):
    answers = [problem(client.post("/classify", json=body)) for body, _ in AT_FAULT]
    assert answers == [expected for _, expected in AT_FAULT]


def test_a_corpus_without_a_promoted_adapter(client, world):
    with writing() as session:
        session.get_one(Corpus, world.built.corpus_id).promoted_adapter_id = None
    assert problem(client.post("/classify", json={"corpus": CORPUS, "text": "a"}))[1] == "no-promoted-adapter"


def test_an_adapter_for_another_task(client, world):
    with writing() as session:
        session.get_one(Adapter, world.adapter_id).task = "summarize"
    assert problem(client.post("/classify", json={"corpus": CORPUS, "text": "a"}))[1] == "wrong-task"


def test_a_key_bound_to_a_corpus_reads_with_its_adapter_and_no_other(client, world):
    from app.http.security import create_api_key
    from app.ids import new_id

    with writing() as session:
        other = Corpus(id=new_id("cor"), name="other")
        session.add(other)
        session.flush()
        _, ours = create_api_key(session, "in", "reader", world.built.corpus_id)
        _, theirs = create_api_key(session, "out", "reader", other.id)
    client.headers["Authorization"] = f"Bearer {ours}"
    assert client.post("/classify", json={"text": "sorry"}).json()["model"]["adapter"] == world.adapter_id
    client.headers["Authorization"] = f"Bearer {theirs}"
    assert client.post("/classify", json={"adapter": world.adapter_id, "text": "sorry"}).status_code == 404


def test_a_full_worker_is_told_with_when_to_come_back(client, server):
    server.service.queue.admit(Lane.INTERACTIVE, 100_000)
    answer = client.post("/classify", json={"corpus": CORPUS, "text": "a"})
    assert problem(answer)[:2] == (503, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_caller_whose_time_is_up_is_told_so_and_nothing_is_computed(client, reader):
    answer = client.post("/classify", json={"corpus": CORPUS, "text": "a"}, headers={"Prefer": "wait=0"})
    assert problem(answer)[:2] == (503, "late")
    assert int(answer.headers["retry-after"]) >= 1
    assert not reader.reads


def test_without_a_worker_the_operator_is_told_what_to_start(client, server):
    server.stop()
    try:
        assert problem(client.post("/classify", json={"corpus": CORPUS, "text": "a"}))[:2] == (
            503,
            "no-inference-worker",
        )
    finally:
        server.start()
    assert client.post("/classify", json={"corpus": CORPUS, "text": "a"}).status_code == 200


def test_a_promoted_adapter_is_loaded_before_anybody_asks(client, world, server):
    until(lambda: server.service.adapters.digests == (world.blob,))
    later = "f" * 64
    with writing() as session:
        session.add(Blob(digest=later, size=1, media_type="x", purpose="adapter"))
        session.flush()
        adapter = adapter_row(world.built.corpus_id, later)
        adapter.digest = "e" * 64
        session.add(adapter)
        session.flush()
        notify(session, ADAPTERS_CHANNEL, adapter.id)
    until(lambda: later in server.service.adapters.digests)


LETTER = "I am sorry. My children miss me. I work hard. The winter was cold."


def test_a_summary_is_sentences_of_the_source(client):
    body = client.post("/summarize", json={"text": LETTER, "max_sentences": 2}).json()
    assert [LETTER[s["start"] : s["end"]] for s in body["sentences"]] == [
        s["text"] for s in body["sentences"]
    ]
    assert (len(body["sentences"]), body["sentences_in_text"], body["method"]) == (2, 4, "mmr")


def test_the_lead_is_the_beginning(client):
    body = client.post("/summarize", json={"text": LETTER, "max_words": 8, "method": "lead"}).json()
    assert body["summary"] == "I am sorry. My children miss me."


@pytest.mark.parametrize("method", ["textrank", "lexrank"])
def test_words_in_common_need_no_model_and_know_no_language(client, method):
    text = "天气很好。申请人申诉诉讼时间过长。诉讼持续了九年。诉讼时间过长违反公约。"
    body = client.post("/summarize", json={"text": text, "max_sentences": 2, "method": method}).json()
    assert "天气" not in body["summary"]
    assert (body["sentences_in_text"], body["base_model"], body["warnings"]) == (4, None, [])
    assert (body["words"], body["words_in_text"]) == (len(body["summary"]) - 1, len(text))


NOT_SUMMARIZED = [
    ({"text": ""}, (422, "empty-text", "/text")),
    ({"text": "x" * 2_000_000}, (413, "text-too-long", "/text")),
    ({"text": "It rained. " * 5001}, (413, "too-many-sentences", "/text")),
    ({"text": LETTER, "max_words": 3, "ratio": 0.2}, (422, "several-lengths", "/max_sentences")),
    ({"text": LETTER, "ratio": 1.5}, (422, "invalid", "/ratio")),
    ({"text": LETTER, "max_sentences": 0}, (422, "invalid", "/max_sentences")),
    ({"text": LETTER, "method": "abstract"}, (422, "invalid", "/method")),
    ({"text": LETTER, "base_model": "/etc"}, (422, "unknown-base-model", "/base_model")),
    ({"text": "a\x00b"}, (422, "nul-character", "/text")),
]


def test_what_cannot_be_summarized_is_said(client):
    answers = [problem(client.post("/summarize", json=body)) for body, _ in NOT_SUMMARIZED]
    assert answers == [expected for _, expected in NOT_SUMMARIZED]


@pytest.mark.parametrize(
    "text", ["בית המשפט קבע. הוא ערער.", "حكمت المحكمة. استأنف الحكم.", "法院判决。他上诉了。"]
)
def test_other_scripts_work_with_a_warning(client, text):
    body = client.post("/summarize", json={"text": text, "max_sentences": 1}).json()
    assert body["sentences"]
    assert any("English" in warning for warning in body["warnings"])


def test_one_sentence_and_too_great_a_length(client):
    body = client.post("/summarize", json={"text": "Only one.", "max_sentences": 50}).json()
    assert (body["summary"], body["base_model"]) == ("Only one.", None)
    assert "all of the text" in body["warnings"][0]


def listening(engine):
    """Whether the api hears of promotions by now."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'remand-adapters' AND state = 'idle' AND query LIKE 'LISTEN%'"
    with engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def test_an_adapter_promoted_elsewhere_serves_as_soon_as_the_api_hears_of_it(client, world, engine):
    asked = {"corpus": CORPUS, "text": "sorry"}
    assert client.post("/classify", json=asked).json()["model"]["adapter"] == world.adapter_id
    until(lambda: listening(engine))
    with writing(engine) as session:
        row = session.get_one(Adapter, world.adapter_id)
        other = adapter_row(world.built.corpus_id, row.blob_digest)
        other.digest = "e" * 64
        session.add(other)
        session.flush()
        session.get_one(Corpus, world.built.corpus_id).promoted_adapter_id = other.id
        notify(session, ADAPTERS_CHANNEL, other.id)
        promoted = other.id
    for known in client.app.state.served.known._known.values():
        known.until = float("inf")  # what is remembered would never end by itself
    until(lambda: client.post("/classify", json=asked).json()["model"]["adapter"] == promoted)


@pytest.mark.usefixtures("world")
def test_a_caller_that_goes_away_takes_its_request_out_of_the_workers_queue(server, reader, keys):
    reader.gate = threading.Event()
    header = {"Authorization": f"Bearer {keys.reader}"}
    body = {"corpus": CORPUS, "text": "sorry"}
    queue = server.service.queue
    with (
        served_app() as address,
        httpx.Client(base_url=address, headers=header, trust_env=False, timeout=60) as caller,
    ):
        assert (
            caller.get("/livez").status_code == 200
        )  # the app is warm: the short timeout below is the reader's
        leaving = httpx.Client(base_url=address, headers=header, trust_env=False, timeout=60)
        asking = threading.Thread(target=lambda: _left(leaving, body))
        asking.start()
        until(lambda: queue.queued_tokens > 0)
        leaving.close()
        until(lambda: queue.queued_tokens == 0)
        reader.gate.set()
        asking.join(60)
        assert caller.post("/classify", json=body).status_code == 200


def _left(client, body):
    with suppress(httpx.HTTPError, RuntimeError):
        client.post("/classify", json=body)
