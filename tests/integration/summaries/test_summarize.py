"""POST /summarize, abstractive, through the api to a worker: what is written, what it is held against, and what is refused."""

from __future__ import annotations

import json

import pytest

from app.db.session import writing
from app.db.tables import Adapter, Corpus
from app.http.security import create_api_key, forget_credentials
from app.ids import new_id
from app.inference.pool import make_pool
from app.settings import get_settings
from tests.api import bearer
from tests.integration.summaries.conftest import LETTER


def ask(client, world, **body):
    return client.post(
        "/summarize", json={"text": LETTER, "method": "abstractive", "adapter": world.adapter_id, **body}
    )


def problem(answer):
    found = answer.json()
    return answer.status_code, found["type"].rsplit(":", 1)[1], found.get("field")


def events(answer):
    found = []
    for part in answer.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in part.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_summary_is_written_in_the_style_of_training_and_held_against_its_text(client, world):
    answer = ask(client, world)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["summary"] == LETTER
    assert (body["strategy"], body["chunks"], body["calls"], body["method"]) == ("whole", 1, 1, "abstractive")
    assert body["model"] == {
        "name": "tiny-t5", "sha256": "5" * 64, "family": "t5", "adapter": world.adapter_id, "digest": "d" * 64,
    }  # fmt: skip
    assert body["faithfulness"]["supported_share"] == 1
    assert body["faithfulness"]["items"] == {"number": 1, "date": 1, "citation": 0, "name": 3}
    assert body["faithfulness"]["unsupported"] == []
    (generate,) = world.worker.asked("/generate")
    assert generate["adapter"] == world.blob
    assert generate["prompts"] == ["Summarize the following dialogue: " + LETTER]
    assert (generate["max_tokens"], generate["beams"], generate["lane"]) == (60, 1, "interactive")


def test_what_is_invented_is_named_with_its_place_and_refused_below_the_floor(client, world):
    world.worker.model.write = lambda _prompt, _most: type(world.worker.model)().write(
        "x: Jane Smith paid $6,000. His children miss him.", 60
    )
    body = ask(client, world).json()
    found = [(item["kind"], item["text"]) for item in body["faithfulness"]["unsupported"]]
    assert found == [("name", "Jane Smith"), ("number", "$6,000")]
    assert all(
        body["summary"][item["start"] : item["end"]] == item["text"]
        for item in body["faithfulness"]["unsupported"]
    )
    assert body["faithfulness"]["supported_share"] == 0.5
    assert ask(client, world, min_supported=0.5).status_code == 200
    refused = ask(client, world, min_supported=0.51)
    assert problem(refused) == (422, "summary-unsupported", "/min_supported")
    assert refused.json()["supported_share"] == 0.5
    assert refused.json()["faithfulness"]["unsupported"][1]["text"] == "$6,000"
    assert (
        "50% of the summary's sentences are supported by the text, at least 51% were asked for"
        in refused.json()["detail"]
    )


def test_long_texts_tell_how_they_were_read(client, world):
    text = " ".join(f"Point {number} of the judgment is about costs and appeals." for number in range(400))
    body = ask(client, world, text=text, strategy="chunk_and_merge").json()
    assert body["strategy"] == "chunk_and_merge"
    assert body["chunks"] > 30
    assert body["calls"] > body["chunks"]
    assert (body["kept_sentences"], body["sentences_in_text"], body["tokens_in_text"]) == (400, 400, 4000)
    short = ask(client, world, text=text, strategy="extract_then_abstract").json()
    assert (short["calls"], short["chunks"]) == (1, 1)
    assert 0 < short["kept_sentences"] < 20
    assert problem(ask(client, world, text=text, strategy="whole")) == (422, "text-too-long", "/strategy")


def test_a_stream_tells_progress_and_ends_with_the_answer(client, world):
    text = " ".join(f"Point {number} of the judgment is about costs and appeals." for number in range(60))
    answer = ask(client, world, text=text, strategy="chunk_and_merge", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer)
    assert found[0] == ("progress", {"stage": "summarizing parts", "done": 0, "total": found[0][1]["total"]})
    assert found[-1][0] == "done"
    assert found[-1][1]["strategy"] == "chunk_and_merge"
    assert {kind for kind, _ in found} == {"progress", "piece", "done"}
    pieces = "".join(data["text"] for kind, data in found if kind == "piece")
    assert pieces.startswith(found[-1][1]["summary"])
    for quiet in ({"min_supported": 0.1}, {"beams": 2}):
        kinds = {kind for kind, _ in events(ask(client, world, stream=True, **quiet))}
        assert kinds == {"progress", "done"}
    world.worker.refuses = (503, {"code": "queue-full", "detail": "full"})
    assert events(ask(client, world, stream=True))[-1][1]["type"] == "urn:remand:problem:queue-full"
    world.worker.refuses = None
    whole = ask(client, world, text=text, strategy="chunk_and_merge").json()
    assert found[-1][1] == whole
    failing = events(ask(client, world, text=text, strategy="whole", stream=True))
    assert [kind for kind, _ in failing] == ["failed"]
    assert failing[0][1]["type"] == "urn:remand:problem:text-too-long"


def test_lengths_and_decoding_reach_the_model(client, world):
    body = ask(client, world, max_words=10, temperature=0.7, top_p=0.9, seed=5, style="document").json()
    (generate,) = world.worker.asked("/generate")
    assert (generate["temperature"], generate["top_p"], generate["seed"], generate["max_tokens"]) == (
        0.7,
        0.9,
        5,
        16,
    )
    assert body["words"] <= 10
    assert body["warnings"][0].startswith(
        "The adapter was trained on the style dialogue, and document was asked for"
    )
    ask(client, world, ratio=0.5)
    assert world.worker.asked("/generate")[1]["max_tokens"] == 21


WRONG = [
    ({"text": " \n"}, (422, "empty-text", "/text")),
    ({"text": "x" * 2_000_000}, (413, "text-too-long", "/text")),
    ({"text": "a\0b"}, (422, "nul-character", "/text")),
    ({"max_sentences": 2}, (422, "other-method", "/max_sentences")),
    ({"max_words": 20, "ratio": 0.5}, (422, "several-lengths", "/max_sentences")),
    ({"lambda": 0.2}, (422, "other-method", "/trade_off")),
    ({"base_model": "flan-t5-base"}, (422, "adapter-or-base", "/base_model")),
    ({"adapter": None}, (422, "adapter-missing", "/adapter")),
    ({"adapter": "adp_nothing"}, (404, "not-found", "/adapter")),
    ({"adapter": None, "base_model": "minilm"}, (422, "base-model-unsuitable", "/base_model")),
    ({"adapter": None, "base_model": "flan-t5-base"}, (422, "base-model-unavailable", "/base_model")),
    ({"beams": 4, "temperature": 1.0}, (422, "beams-or-temperature", "/beams")),
    ({"window": 64}, (422, "window-too-small", "/window")),
    ({"top_p": 1e-9, "temperature": 1.0}, (422, "invalid", "/top_p")),
    ({"embedder": "/etc"}, (422, "unknown-base-model", "/embedder")),
    ({"method": "lead"}, (422, "other-method", "/adapter")),
    ({"method": "lead", "adapter": None, "min_supported": 0.5}, (422, "other-method", "/min_supported")),
    ({"method": "lead", "adapter": None, "stream": True}, (422, "other-method", "/stream")),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), WRONG)
def test_what_cannot_be_done_is_said_and_where(client, world, body, expected):
    assert problem(ask(client, world, **body)) == expected


def test_an_adapter_of_another_task_or_corpus_is_none(client, world):
    with writing() as session:
        session.get_one(Adapter, world.adapter_id).task = "causal"
    assert problem(ask(client, world)) == (409, "wrong-task", "/adapter")
    with writing() as session:
        other = Corpus(id=new_id("cor"), name="other")
        session.add(other)
        session.flush()
        _, secret = create_api_key(session, "rita", "reader", other.id)
    forget_credentials()
    answer = client.post(
        "/summarize",
        json={"text": LETTER, "method": "abstractive", "adapter": world.adapter_id},
        headers=bearer(secret),
    )
    assert answer.status_code == 404


def test_control_characters_are_left_out_with_a_warning_and_offsets_are_of_the_text_as_sent(client, world):
    text = LETTER.replace("paid", "pa\x07id").replace("His", "\x1b\x01His")
    body = ask(client, world, text=text).json()
    assert body["summary"] == LETTER
    assert body["warnings"] == ["3 control characters were left out of the text: U+0007, U+001B, U+0001."]
    for sentence in body["faithfulness"]["sentences"]:
        first, last = sentence["source"]
        stretch = text[first:last].replace("\x07", "").replace("\x1b\x01", "")
        assert LETTER[sentence["start"] : sentence["end"]] in stretch
    assert problem(ask(client, world, text="\x07\x01")) == (422, "empty-text", "/text")


@pytest.mark.parametrize(
    "text",
    [
        'בית המשפט דחה את הערעור. המערער טען אחרת. נפסקו 5,000 ש"ח.',
        "رفضت المحكمة الاستئناف. دفع المتهم 5000.",
        "法院驳回上诉。被告付了5000元。",
        "A line\twith\x0bcontrol\x1bcharacters\x7f and one sentence",
        "One.",
    ],
)
def test_any_script_and_any_short_text_is_answered(client, world, text):
    body = ask(client, world, text=text).json()
    assert body["faithfulness"]["unsupported"] == []
    assert body["faithfulness"]["supported_share"] == 1
    assert body["faithfulness"]["names_checked"] is text.isascii()


def test_a_length_beyond_the_text_and_unknown_tokens_are_warned_of(client, world):
    warned = ask(client, world, text="? ? ? ? He paid.", max_words=500).json()["warnings"]
    assert any("knows no token for 4 of" in warning for warning in warned)
    assert any("not less than the text's own (6 words)" in warning for warning in warned)


def test_without_an_embedder_words_alone_decide(client, world):
    world.worker.embedder = False
    world.worker.model.write = lambda _prompt, _most: type(world.worker.model)().write("x: Whales sing.", 60)
    found = ask(client, world).json()["faithfulness"]
    assert (found["embedded"], found["supported_share"]) == (False, 0)
    assert found["sentences"][0]["similarity"] is None


def test_a_busy_or_broken_worker_is_told_as_such(client, world):
    world.worker.refuses = (503, {"code": "queue-full", "detail": "full"})
    answer = ask(client, world)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:remand:problem:queue-full")
    world.worker.refuses = (422, {"code": "base-model-unavailable", "detail": "no such folder"})
    assert problem(ask(client, world)) == (422, "base-model-unavailable", "/adapter")
    nobody = get_settings().model_copy(update={"inference_urls": ["http://127.0.0.1:9"]})
    client.app.state.workers = make_pool(nobody)
    for stream in (False, True):
        assert problem(ask(client, world, stream=stream)) == (503, "no-inference-worker", None)
