"""The worker writes: adapters from the blob store, pieces as they come, refusals before any work, callers that go away."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.inference_server import until
from tests.tiny_decoder import judgments
from tests.tiny_writer import FAMILIES, peft_model, said
from tests.writing_worker import PATIENCE, Worker, writing_worker

PROMPTS = judgments(6, seed=1, words=(2, 20))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with writing_worker(tmp_path_factory.mktemp("generation"), REMAND_GENERATION_TOKENS="4000") as worker:
        yield worker


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_writes_what_peft_writes(worker: Worker, family: str, beams: int) -> None:
    from transformers import AutoTokenizer

    from models.generative.decode.wording import read_wording

    body = {"adapter": worker.digests[family], "prompts": PROMPTS, "max_tokens": 9, "beams": beams}
    answer = worker.post("/generate", **body)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    model = peft_model(worker.models / family, worker.folders[family], family)
    tokenizer = AutoTokenizer.from_pretrained(worker.models / family)
    wording = read_wording(worker.models / family, family)
    expected = [said(model, family, wording.ids(prompt), 9, num_beams=beams) for prompt in PROMPTS]
    texts = [result["text"].strip() for result in document["results"]]
    assert texts == [tokenizer.decode(ids, skip_special_tokens=True) for ids in expected]
    assert [result["tokens"] for result in document["results"]] == [len(ids) for ids in expected]
    counts = worker.post("/tokens", adapter=worker.digests[family], texts=PROMPTS).json()
    assert [result["prompt_tokens"] for result in document["results"]] == counts["counts"]
    assert document["model"]["longest_input"] == counts["longest_input"] == (64 if family == "t5" else 63)
    assert document["model"]["name"] == family
    manifest = json.loads((worker.folders[family] / "manifest.json").read_text())
    assert document["model"]["adapter"] == manifest["digest"]


def test_text_goes_on_from_the_prompt_and_ends_before_a_stop_string(worker: Worker) -> None:
    body = {"base": worker.base("llama"), "prompts": ["the court held that"], "max_tokens": 20}
    (whole,) = worker.post("/generate", **body).json()["results"]
    assert whole["text"].startswith(" ")
    words = whole["text"].split()
    stop = f"{words[3]} {words[4]}"  # across the border of two tokens
    (cut,) = worker.post("/generate", **body, stop=["never said", stop]).json()["results"]
    assert (cut["text"], cut["finish"]) == (whole["text"][: whole["text"].index(stop)], "stop")
    assert cut["tokens"] <= 5


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    found, kind = [], ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: "):
            found.append((kind, json.loads(line[6:])))
    return found


def test_pieces_add_up_to_the_text_and_end_between_words(worker: Worker) -> None:
    body = {"base": worker.base("gptj"), "prompts": ["a claim of right"], "max_tokens": 40, "temperature": 0.9, "seed": 7, "min_tokens": 40}  # fmt: skip
    (whole,) = worker.post("/generate", **body).json()["results"]
    with worker.client.stream("POST", "/generate", json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
    pieces = [data["text"] for kind, data in told if kind == "piece"]
    kind, done = told[-1]
    assert (kind, done["text"], done["finish"]) == ("done", whole["text"], "length")
    assert "".join(pieces) == whole["text"]
    assert all(piece.endswith(" ") for piece in pieces[:-1])


def test_prompt_i_of_a_request_is_written_with_the_seed_plus_i(worker: Worker) -> None:
    body = {"adapter": worker.digests["t5"], "max_tokens": 12, "temperature": 1.1, "top_p": 0.9}
    together = worker.post("/generate", **body, prompts=PROMPTS, seed=40).json()["results"]
    alone = worker.post("/generate", **body, prompts=[PROMPTS[4]], seed=44).json()["results"]
    assert together[4] == alone[0]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"prompts": ["the court " * 40]}, "prompt-too-long", "81 tokens, the model reads 63"),
        ({"prompts": ["a", "the court " * 20], "max_tokens": 60}, "no-room", "prompt 1 has 41 tokens"),
        ({"base": "minilm"}, "base-model-unsuitable", "writes no text"),
        ({"base": "gpt-j-6b"}, "base-model-unavailable", "Three ways"),
        ({"beams": 2, "temperature": 1}, "invalid", "beams are searched"),
        ({"prompts": []}, "invalid", "1 to 1024"),
        ({"stop": [""]}, "invalid", "stop"),
        ({"adapter": "0" * 64}, "invalid", "one of base"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(
    worker: Worker, change: dict[str, Any], code: str, words: str
) -> None:
    body = {"base": worker.base("llama"), "prompts": ["the court"]} | change
    answer = worker.post("/generate", **body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert words in answer.json()["detail"]


def test_an_adapter_that_is_not_there_or_does_not_write(worker: Worker) -> None:
    missing = worker.post("/generate", adapter="0" * 64, prompts=["a"])
    assert (missing.status_code, missing.json()["code"]) == (404, "adapter-missing")
    answer = worker.post("/perplexity", adapter=worker.digests["t5"], texts=["a"])
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong-task")


def test_perplexity_is_that_of_the_windows_training_measured_by(worker: Worker) -> None:
    import torch

    from models.generative.blocks import windows
    from models.generative.decode.wording import read_wording

    text = judgments(1, seed=4, words=(60, 61))[0]
    (found,) = worker.post("/perplexity", adapter=worker.digests["gptj"], texts=[text]).json()["results"]

    model = peft_model(worker.models / "gptj", worker.folders["gptj"], "gptj")
    document = read_wording(worker.models / "gptj", "gptj").document(text)
    loss, count = 0.0, 0
    for window in windows(document, 32):
        ids = torch.from_numpy(window.astype("int64"))[None]
        with torch.no_grad():
            loss += float(model(input_ids=ids, labels=ids).loss) * (len(window) - 1)
        count += len(window) - 1
    assert found["tokens"] == count
    assert found["nats"] == pytest.approx(loss, rel=1e-4)


def test_a_full_queue_refuses_and_a_caller_that_goes_away_leaves_room(worker: Worker) -> None:
    long = {"base": worker.base("t5"), "prompts": ["a claim"], "max_tokens": 3900, "min_tokens": 3900}
    with worker.client.stream("POST", "/generate", json=long | {"stream": True}) as answer:
        lines = answer.iter_lines()  # kept: an iterator that is dropped closes the stream
        next(lines)
        refused = worker.post("/generate", base=worker.base("t5"), prompts=["a"], max_tokens=900)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue-full")
        assert int(refused.headers["Retry-After"]) >= 1
        refused = worker.post("/perplexity", base=worker.base("gptj"), texts=["a claim " * 900])
        assert (refused.status_code, refused.json()["code"]) == (503, "queue-full")
    # the stream is closed: its slot and its tokens are free long before 3,900 tokens could be written
    until(lambda: worker.post("/generate", base=worker.base("t5"), prompts=["a"], max_tokens=900).is_success)


def test_classification_is_served_while_text_is_written(worker: Worker) -> None:
    long = {"base": worker.base("t5"), "prompts": ["a claim"], "max_tokens": 3900, "min_tokens": 3900}
    with worker.client.stream("POST", "/generate", json=long | {"stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        found = [worker.post("/embed", base="minilm", texts=["a letter"]).status_code for _ in range(3)]
        assert found == [200] * 3
        assert next(line for line in lines if line.startswith("data: "))  # and it is still being written


def test_what_was_read_and_written_is_counted(worker: Worker) -> None:
    def counts() -> dict[str, float]:
        lines = worker.client.get("/metrics").text.splitlines()
        return {
            line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("remand_generation_")
        }

    until(lambda: worker.client.get("/readyz").json()["writing"] == 0)  # callers of other tests have gone
    before = counts()
    body = {
        "base": worker.base("t5"),
        "prompts": ["the court", "a claim of right"],
        "max_tokens": 7,
        "min_tokens": 7,
    }
    read = sum(result["prompt_tokens"] for result in worker.post("/generate", **body).json()["results"])
    grown = {name: value - before[name] for name, value in counts().items()}
    assert grown["remand_generation_tokens_total"] == 14
    assert grown["remand_generation_prompt_tokens_total"] == read
    assert grown["remand_generation_steps_total"] == 7
    assert counts()["remand_generation_model_bytes"] > 0


def test_a_worker_that_is_told_to_stop_finishes_what_it_writes(worker: Worker) -> None:
    long = {"base": worker.base("t5"), "prompts": ["a claim"], "max_tokens": 600, "min_tokens": 600}
    answers: list[httpx.Response] = []

    def wait() -> None:
        with httpx.Client(base_url=worker.url, timeout=PATIENCE, trust_env=False) as client:
            answers.append(client.post("/generate", json=long))

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: worker.client.get("/readyz").json()["writing"] == 1)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(PATIENCE) == 0
    thread.join(PATIENCE)
    assert [answer.json()["results"][0]["tokens"] for answer in answers] == [600]
