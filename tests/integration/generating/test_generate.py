"""POST /generate and POST /perplexity through a real worker: base beside tuned, seeds, streams, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.session import writing
from app.db.tables import Corpus
from app.http.security import create_api_key, forget_credentials
from app.ids import new_id
from tests.api import bearer
from tests.integration.generating.conftest import Registered
from tests.writing_worker import Worker

PROMPT = "the court held that"


def generate(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post("/generate", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_base_and_adapter_answer_beside_each_other(
    client: TestClient, worker: Worker, adapters: Registered
) -> None:
    answer = generate(
        client, adapter=adapters.causal, prompts=[PROMPT, "a claim"], compare=True, max_tokens=8
    )
    own = worker.post("/generate", adapter=worker.digests["llama"], prompts=[PROMPT, "a claim"], max_tokens=8)
    base = worker.post("/generate", base=worker.base("llama"), prompts=[PROMPT, "a claim"], max_tokens=8)
    for found, expected in ((answer, own), (answer["base"], base)):
        assert [result["text"] for result in found["results"]] == [
            result["text"] for result in expected.json()["results"]
        ]
    assert answer["results"] != answer["base"]["results"]
    assert (answer["model"]["adapter"], answer["model"]["corpus_id"]) == (adapters.causal, adapters.corpus)
    registered = client.get(f"/adapters/{adapters.causal}").json()
    assert answer["model"]["digest"] == registered["digest"]
    assert (answer["base"]["model"]["adapter"], answer["base"]["model"]["base_model"]) == (None, "llama")
    assert answer["base"]["model"]["base_sha256"] == answer["model"]["base_sha256"]


def test_the_seed_that_was_chosen_gives_the_same_text_again(client: TestClient, adapters: Registered) -> None:
    body = {"adapter": adapters.causal, "prompts": [PROMPT, PROMPT], "temperature": 1.2, "max_tokens": 20}
    first = generate(client, **body)
    again = generate(client, **body, seed=first["seed"])
    assert again["results"] == first["results"]
    assert [result["seed"] for result in first["results"]] == [first["seed"], first["seed"] + 1]
    alone = generate(client, **body | {"prompts": [PROMPT]}, seed=first["seed"] + 1)
    assert alone["results"][0] == first["results"][1]


def told(client: TestClient, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    found, kind = [], ""
    with client.stream("POST", "/generate", json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
    return found


def test_a_stream_brings_pieces_of_both_and_ends_with_what_the_whole_answer_says(
    client: TestClient, adapters: Registered
) -> None:
    body = {"adapter": adapters.causal, "prompt": PROMPT, "temperature": 0.8, "seed": 3, "max_tokens": 30, "compare": True}  # fmt: skip
    whole, events = generate(client, **body), told(client, **body)
    for name, expected in (("adapter", whole["results"][0]), ("base", whole["base"]["results"][0])):
        own = [(kind, data) for kind, data in events if data["from"] == name]
        assert "".join(data["text"] for kind, data in own if kind == "piece") == expected["text"]
        kind, done = own[-1]
        assert (kind, done["result"]) == ("done", expected)
        assert done["seed"] == whole["seed"] == 3
    assert {data["from"] for _, data in events} == {"adapter", "base"}


def test_a_base_model_writes_without_an_adapter(client: TestClient, worker: Worker) -> None:
    answer = generate(client, base_model=worker.base("gptj"), prompt=PROMPT, max_tokens=5, seed=1)
    assert answer["model"]["family"] == "gptj"
    assert answer["base"] is None
    assert answer["warnings"] == ["At temperature 0 nothing is drawn: the seed changes nothing."]


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize(
    ("body", "status", "slug", "field"),
    [
        ({}, 422, "no-prompts", "/prompt"),
        ({"prompt": " \n"}, 422, "empty-text", "/prompt"),
        ({"prompt": "\x01\x02"}, 422, "empty-text", "/prompt"),
        ({"prompt": "\x00"}, 422, "nul-character", "/prompt"),
        ({"prompt": "a", "prompts": ["a"]}, 422, "prompt-and-prompts", "/prompts"),
        ({"prompts": ["a"] * 65}, 413, "too-many-prompts", "/prompts"),
        ({"prompts": ["a", ""]}, 422, "empty-text", "/prompts/1"),
        ({"prompt": "word " * 400_000}, 413, "text-too-long", "/prompt"),
        ({"prompt": "the court " * 40}, 422, "prompt-too-long", "/prompt"),
        ({"prompts": ["a", "the court " * 40]}, 422, "prompt-too-long", "/prompts/1"),
        ({"prompt": "the court " * 20, "max_tokens": 60}, 422, "no-room", "/max_tokens"),
        ({"prompt": "a", "max_tokens": 0}, 422, "invalid", "/max_tokens"),
        ({"prompt": "a", "temperature": 99}, 422, "invalid", "/temperature"),
        ({"prompt": "a", "temperature": 1, "top_p": 1e-9}, 422, "invalid", "/top_p"),
        ({"prompt": "a", "stop": [""]}, 422, "invalid", "/stop/0"),
        ({"prompt": "a", "beams": 2, "temperature": 1}, 422, "beams-and-temperature", "/beams"),
        ({"prompt": "a", "beams": 2, "stream": True}, 422, "cannot-stream", "/stream"),
        ({"prompt": "a", "min_tokens": 9, "max_tokens": 3}, 422, "min-above-max", "/min_tokens"),
        ({"prompt": "a", "compare": True}, 422, "nothing-to-compare", "/compare"),
        ({"prompt": "a", "base_model": None}, 422, "model-missing", "/adapter"),
        ({"prompt": "a", "adapter": "adp_nothing"}, 422, "adapter-and-base-model", "/base_model"),
        ({"prompt": "a", "adapter": "adp_nothing", "base_model": None}, 404, "not-found", "/adapter"),
        ({"prompt": "a", "base_model": "minilm"}, 422, "base-model-unsuitable", "/base_model"),
        ({"prompt": "a", "base_model": "gpt-j-6b"}, 422, "base-model-unavailable", "/base_model"),
        ({"prompt": "a", "base_model": "/etc"}, 422, "base-model-unavailable", "/base_model"),
        ({"prompt": "a", "wisdom": 1}, 422, "invalid", "/wisdom"),
    ],
)
def test_what_cannot_be_written_says_which_field_and_why(
    client: TestClient, worker: Worker, body: dict[str, Any], status: int, slug: str, field: str
) -> None:
    answer = client.post("/generate", json={"base_model": worker.base("llama")} | body)
    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["field"]) == (
        status, f"urn:remand:problem:{slug}", field,
    )  # fmt: skip
    if slug == "prompt-too-long":
        assert (problem["tokens"], problem["longest_input"]) == (81, 63)


def test_a_refused_stream_is_a_problem_like_any_other(client: TestClient, worker: Worker) -> None:
    answer = client.post("/generate", json={"base_model": worker.base("llama"), "prompt": "the court " * 40, "stream": True})  # fmt: skip
    assert (answer.status_code, answer.json()["field"]) == (422, "/prompt")


def test_an_adapter_of_another_task_is_named_with_what_it_is_for(
    client: TestClient, adapters: Registered
) -> None:
    for path, body in (("/generate", {"prompt": "a"}), ("/perplexity", {"text": "a"})):
        answer = client.post(path, json=body | {"adapter": adapters.summarize})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:wrong-task")
        assert "POST /summarize" in answer.json()["detail"]


def test_control_characters_are_left_out_and_other_scripts_are_text(
    client: TestClient, worker: Worker
) -> None:
    body = {"base_model": worker.base("llama"), "max_tokens": 4, "temperature": 0.5, "seed": 1}
    dirty = generate(client, **body, prompt="the\x07 court\x1b held")
    assert dirty["results"] == generate(client, **body, prompt="the court held")["results"]
    assert dirty["warnings"] == ["2 control characters were left out of /prompt: U+0007, U+001B."]
    for words in ("בית המשפט קבע", "قضت المحكمة", "法院认为"):
        assert generate(client, **body, prompt=words)["results"][0]["error"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_script_that_the_tokenizer_lacks_is_warned_of(
    client: TestClient, worker: Worker, stream: bool
) -> None:
    body = {"base_model": worker.base("t5"), "max_tokens": 4, "prompt": "בית המשפט קבע"}
    warnings = told(client, **body)[-1][1]["warnings"] if stream else generate(client, **body)["warnings"]
    assert len(warnings) == 1
    assert warnings[0].startswith("/prompt: The model knows no token for ")
    assert generate(client, **body | {"prompt": PROMPT})["warnings"] == []
    measured = client.post(
        "/perplexity", json={"base_model": worker.base("llama"), "texts": [PROMPT, "法院认为"]}
    )
    assert [warning[:10] for warning in measured.json()["warnings"]] == ["/texts/1: "]


def test_a_key_of_another_corpus_and_a_sensitive_corpus(client: TestClient, adapters: Registered) -> None:
    with writing() as session:
        mine = Corpus(id=new_id("cor"), name="mine")
        session.add(mine)
        session.flush()
        _, scoped = create_api_key(session, "ben", "reader", mine.id)
        _, reader = create_api_key(session, "rita", "reader", adapters.corpus)
    forget_credentials()
    body = {"adapter": adapters.causal, "prompt": "a", "max_tokens": 2}
    assert client.post("/generate", json=body, headers=bearer(scoped)).status_code == 404
    assert client.post("/generate", json=body, headers=bearer(reader)).status_code == 200
    with writing() as session:
        session.get_one(Corpus, adapters.corpus).sensitive = True
    answer = client.post("/generate", json=body)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:remand:problem:corpus-sensitive")


def test_perplexity_of_a_text_under_both(client: TestClient, worker: Worker, adapters: Registered) -> None:
    text = "the court held that a claim of right must be heard " * 6
    answer = client.post("/perplexity", json={"adapter": adapters.causal, "texts": [text, "x"]}).json()
    own = worker.post("/perplexity", adapter=worker.digests["llama"], texts=[text]).json()["results"][0]
    base = worker.post("/perplexity", base=worker.base("llama"), texts=[text], window=32).json()["results"][0]
    first = answer["results"][0]
    assert (first["perplexity"], first["base_perplexity"]) == (own["perplexity"], base["perplexity"])
    assert first["ratio"] == pytest.approx(own["perplexity"] / base["perplexity"])
    assert answer["window"] == 32  # tokens: what the adapter was trained in
    alone = client.post("/perplexity", json={"base_model": worker.base("t5"), "text": text})
    assert (alone.status_code, alone.json()["type"]) == (422, "urn:remand:problem:wrong-task")
