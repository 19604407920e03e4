"""The worker's HTTP with readers that need no model."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from starlette.testclient import TestClient

from tests.unit.inference.fakes import POISON, FakeReader
from workers.inference.engine import Engine
from workers.inference.metrics import Metrics
from workers.inference.queue import LaneQueue
from workers.inference.residents import Residents
from workers.inference.server import create_server
from workers.inference.service import Service
from workers.inference.wire import FAILED_HEADER, QUEUED_HEADER, arrays_from_bytes
from workers.inference.work import Lane

DIGEST = "a" * 64
MISSING = "b" * 64


class Worker:
    """A server around fake readers."""

    def __init__(self, token="", limit=1000):
        self.reader = FakeReader()
        self.queue = LaneQueue(limit)
        adapters = Residents(self._load, 100, ThreadPoolExecutor(1))
        self.metrics = Metrics(
            self.queue.lane_tokens, lambda: self.queue.tokens_per_second, lambda: 0, adapters.comings
        )
        self.engine = Engine(self.queue, 64, observe=self.metrics.batch)
        loader = ThreadPoolExecutor(1)
        service = Service(
            self.queue,
            self.engine,
            adapters,
            Residents(lambda name: self.reader, 100, loader),
            ThreadPoolExecutor(2),
            observe=self.metrics.stages,
        )

        async def startup():
            pass

        self.app = create_server(service, self.metrics, token, startup)

    def _load(self, digest):
        if digest == MISSING:
            raise FileNotFoundError(f"blob {digest} is not in the store")
        return self.reader


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def client(worker):
    with TestClient(worker.app) as client:
        yield client


def classify(client, texts, **rest):
    return client.post("/classify", json={"adapter": DIGEST, "texts": texts, **rest})


def test_classify_answers_per_text_with_windows_and_timing(client):
    answer = classify(client, ["abc", "d" * 15])
    assert answer.status_code == 200
    document = answer.json()
    assert [result["probabilities"] for result in document["results"]] == [[3.0, 3.0], [15.0, 15.0]]
    assert document["results"][1]["windows"] == [[0, 10], [10, 20]]
    assert document["option_keys"] == ["o0", "o1"]
    assert answer.headers[QUEUED_HEADER] == "0"
    assert {part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")} == {
        "load", "tokenize", "queue", "forward", "pool", "total",
    }  # fmt: skip


def test_texts_that_fail_do_so_alone(client):
    answer = classify(client, ["fine", POISON, "unreadable"])
    results = answer.json()["results"]
    assert results[0]["probabilities"] == [4.0, 4.0]
    assert "error" in results[1]
    assert results[2] == {"error": "no tokens"}
    assert answer.headers[FAILED_HEADER] == "1,2"


def test_bulk_answers_arrays(client, worker):
    body = {
        "adapter": DIGEST,
        "texts": ["ab", POISON],
        "members": ["fold0"],
        "uses": [[0], [0]],
        "embeddings": True,
    }
    answer = client.post("/bulk", json=body)
    probabilities, embeddings = arrays_from_bytes(answer.content, 2)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities, [[2, 2], [np.nan, np.nan]])
    assert embeddings.dtype == np.float16
    assert {lane for batch in worker.reader.batches for lane, _ in batch} == {Lane.BULK}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_embed_answers_one_array(client, dtype):
    answer = client.post("/embed", json={"base": "minilm", "texts": ["ab", "c"], "dtype": dtype})
    (embeddings,) = arrays_from_bytes(answer.content, 1)
    assert (embeddings.shape, str(embeddings.dtype)) == ((2, 3), dtype)


def test_load_describes_the_adapter(client):
    assert client.post("/load", json={"adapter": DIGEST}).json()["option_keys"] == ["o0", "o1"]
    assert client.get("/readyz").json()["adapters"] == [DIGEST]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/classify", b"{"),
        ("/classify", b"[]"),
        ("/classify", b'{"adapter": "x", "texts": []}'),
        ("/classify", b'{"adapter": "%s", "texts": [1]}' % DIGEST.encode()),
        ("/classify", b'{"adapter": "%s", "texts": [], "pool": "min"}' % DIGEST.encode()),
        ("/bulk", b'{"adapter": "%s", "texts": ["a"], "members": ["final"], "uses": []}' % DIGEST.encode()),
        (
            "/bulk",
            b'{"adapter": "%s", "texts": ["a"], "members": ["final"], "uses": [[1]]}' % DIGEST.encode(),
        ),
        ("/embed", b'{"texts": []}'),
        ("/embed", b'{"base": "minilm", "texts": [], "dtype": "int8"}'),
    ],
)
def test_a_wrong_body_is_said_to_be_wrong(client, path, body):
    answer = client.post(path, content=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid"


def test_an_adapter_that_is_not_there(client):
    answer = client.post("/classify", json={"adapter": MISSING, "texts": ["a"]})
    assert (answer.status_code, answer.json()["code"]) == (404, "adapter-missing")


def test_a_full_queue_answers_503_with_retry_after(client, worker):
    admission = worker.queue.admit(Lane.INTERACTIVE, 1000)
    answer = classify(client, ["a"])
    assert (answer.status_code, answer.json()["code"]) == (503, "queue-full")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers[QUEUED_HEADER] == "1000"
    worker.queue.release(admission)
    assert classify(client, ["a"]).status_code == 200


def test_what_was_not_begun_in_the_time_that_its_caller_waits_is_not_computed(worker):
    worker.reader.gate = threading.Event()
    with TestClient(worker.app) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(classify, client, ["first"])
        assert worker.reader.started.wait(10)
        late = client.post(
            "/classify", json={"adapter": DIGEST, "texts": ["late"]}, headers={"Prefer": "wait=1"}
        )
        assert (late.status_code, late.json()["code"]) == (
            503,
            "late",
        )  # while the engine is at work on the first
        assert int(late.headers["retry-after"]) >= 1
        worker.reader.gate.set()
        assert first.result(10).status_code == 200
        assert classify(client, ["next"]).status_code == 200
        assert worker.reader.batches == [[(Lane.INTERACTIVE, 5)], [(Lane.INTERACTIVE, 4)]]
        assert "remand_inference_late_requests_total 1.0" in client.get("/metrics").text
        assert worker.queue.queued_tokens == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/classify", {"adapter": DIGEST, "texts": ["a"]}),
        ("/bulk", {"adapter": DIGEST, "texts": ["a"], "members": ["final"], "uses": [[0]]}),
        ("/embed", {"base": "minilm", "texts": ["a"]}),
        ("/summarize", {"base": "minilm", "text": "One here. Two there.", "unit": "sentences", "amount": 1}),
    ],
)
def test_a_request_whose_time_is_up_when_its_model_is_loaded_is_not_even_tokenized(
    client, worker, path, body
):
    answer = client.post(path, json=body, headers={"Prefer": "respond-async, wait=0"})
    assert (answer.status_code, answer.json()["code"]) == (503, "late")
    assert worker.reader.batches == []
    assert client.post(path, json=body, headers={"Prefer": "wait=60"}).status_code == 200


def test_a_dead_engine_is_told_by_livez_and_to_callers(client, worker):
    assert client.get("/livez").status_code == 200
    worker.engine.stop()
    assert client.get("/livez").status_code == 503
    assert client.get("/readyz").status_code == 503
    assert classify(client, ["a"]).json()["code"] == "engine-stopped"


def test_metrics_count_requests_and_tokens(client):
    classify(client, ["abc", "unreadable"])
    page = client.get("/metrics").text
    assert 'remand_inference_requests_total{route="/classify",status="200"} 1.0' in page
    assert 'remand_inference_tokens_total{lane="interactive"} 3.0' in page
    assert "remand_inference_failed_texts_total 1.0" in page
    assert "remand_inference_adapter_loads_total 1.0" in page
    assert 'remand_inference_stage_seconds_count{stage="forward"} 1.0' in page


def test_the_fill_of_batches_shows_what_padding_costs(client):
    classify(client, ["a" * 10, "bb"])
    page = client.get("/metrics").text
    assert 'remand_inference_tokens_total{lane="interactive"} 12.0' in page
    assert "remand_inference_padded_tokens_total 20.0" in page


def test_a_token_is_asked_for_when_one_is_set():
    with TestClient(Worker(token="secret").app) as client:
        assert classify(client, ["a"]).status_code == 401
        for sent in (b"Bearer \xff", b"Bearer wrong"):
            assert client.post("/classify", headers={"Authorization": sent}).status_code == 401
        assert client.get("/livez").status_code == 200
        client.headers["Authorization"] = "Bearer secret"
        assert classify(client, ["a"]).status_code == 200


def test_stopping_the_server_answers_those_who_wait():
    worker = Worker()
    worker.reader.gate = threading.Event()
    with ThreadPoolExecutor(1) as pool, TestClient(worker.app) as client:
        waiting = pool.submit(classify, client, ["a"])
        assert worker.reader.started.wait(10)
        second = pool.submit(worker.engine.stop)
        worker.reader.gate.set()
        assert waiting.result(10).status_code in (200, 503)
        second.result(10)


@pytest.mark.parametrize(
    ("method", "unit", "amount", "expected"),
    [
        ("lead", "sentences", 1, [[0, 10]]),
        ("mmr", "sentences", 9, [[0, 10], [11, 23]]),
        ("lead", "ratio", 1, [[0, 10], [11, 23]]),
    ],
)
def test_summaries_are_sentences_with_offsets(client, method, unit, amount, expected):
    text = "It rained. He stayed in"
    body = {"base": "minilm", "text": text, "method": method, "unit": unit, "amount": amount}
    found = client.post("/summarize", json=body).json()
    assert (found["sentences"], found["sentences_in_text"]) == (expected, 2)
    assert (found["words"], found["words_in_text"]) == (2 if len(expected) == 1 else 5, 5)


def test_a_text_without_a_sentence_has_an_empty_summary(client):
    body = {"base": "minilm", "text": "  ", "unit": "words", "amount": 5}
    assert client.post("/summarize", json=body).json() == {
        "sentences": [], "sentences_in_text": 0, "words": 0, "words_in_text": 0,
    }  # fmt: skip


def test_too_many_sentences_to_compare(client):
    body = {"base": "minilm", "text": "It rained. " * 5001, "unit": "words", "amount": 5}
    answer = client.post("/summarize", json=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too-many-sentences")
