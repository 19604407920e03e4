"""Explanations by the worker: over HTTP, between other requests, within a deadline, and no longer than somebody waits."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import orjson
import pytest
from structlog.testing import capture_logs

from models.text.explain import explain
from tests.integration.inference_server import serving, until
from tests.unit.inference.fakes import FakeReader
from workers.inference.adapter_reader import adapter_reader
from workers.inference.explain import MOST_WAITING, Explanations
from workers.inference.work import Lane

DIGEST, OTHER = "a" * 64, "b" * 64
KEYS = ["remorse", "family", "health"]


@pytest.fixture(scope="module")
def adapter(trained):
    return trained.load()


@pytest.fixture
def fake():
    return FakeReader()


@pytest.fixture
def server(adapter, fake):
    reader = adapter_reader(adapter, DIGEST)
    with serving(lambda digest: reader if digest == DIGEST else fake, lambda _: fake) as server:
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        yield client


def asked(texts, options=None, **rest):
    return {
        "adapter": DIGEST,
        "texts": texts,
        "options": [KEYS] * len(texts) if options is None else options,
        "top": 3,
        **rest,
    }


def test_an_explanation_is_what_the_core_says(client, adapter, trained):
    texts = [trained.texts[0], " ".join(trained.texts[:5])]
    answer = client.post("/explain", json=asked(texts, [["family"], KEYS]))
    assert answer.status_code == 200, answer.text
    for text, keys, result in zip(texts, [["family"], KEYS], answer.json()["results"], strict=True):
        expected = explain(adapter, text, keys)
        assert result["windows"] == expected.windows
        assert [option["key"] for option in result["options"]] == keys
        for option, direct in zip(result["options"], expected.options, strict=True):
            listed = sum(weight for *_, weight in option["words"]) + option["other_words"]["weight"]
            assert option["base_logit"] + listed == pytest.approx(option["logit"], abs=option["bound"])
            assert [weight for *_, weight in option["words"]] == pytest.approx(
                sorted(direct.weights, key=abs, reverse=True)[:3], abs=1e-3
            )
            assert [delta for *_, delta, _ in option["sentences"]] == pytest.approx(
                direct.delta_logit, abs=0.05
            )


def test_what_cannot_be_explained_is_said_per_text(client):
    results = client.post("/explain", json=asked(["\u200b \n", " ", "sorry"])).json()["results"]
    assert ["error" in result for result in results] == [False, True, False]
    assert "no word" in results[1]["error"]


@pytest.mark.parametrize(
    "body",
    [
        asked(["a"], [[]]),
        asked(["a"], []),
        asked(["a"]) | {"top": 0},
        asked(["a"]) | {"adapter": OTHER},
        asked(["a"], [["mercy"]]),
    ],
)
def test_a_wrong_body_is_said_to_be_wrong(client, body):
    answer = client.post("/explain", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid", "unknown-option"}


def test_interactive_requests_overtake_an_explanation(client, server, fake):
    """While the engine is held, an explanation's piece and a bulk text queue up, then a question: it is answered first."""
    fake.gate = threading.Event()
    order = []
    original = server.service.queue.take

    def take(budget, timeout=None):
        windows = original(budget, timeout)
        order.extend({window.request.lane for window in windows})
        return windows

    queued = []
    put = server.service.queue.put

    def noted_put(admission, work, windows):
        put(admission, work, windows)
        queued.append(
            work.lane
        )  # room is kept for a request before it is tokenized: only now can it be taken

    server.service.queue.take, server.service.queue.put = take, noted_put
    with ThreadPoolExecutor(4) as pool:
        fake_text = {"adapter": OTHER, "texts": ["x"]}
        held = pool.submit(client.post, "/classify", json=fake_text)
        assert fake.started.wait(20)
        bulk = pool.submit(client.post, "/bulk", json={**fake_text, "members": ["final"], "uses": [[0]]})
        explanation = pool.submit(client.post, "/explain", json=asked(["sorry"]))
        until(lambda: {Lane.EXPLANATION, Lane.BULK} <= set(queued))
        question = pool.submit(client.post, "/classify", json=fake_text)
        until(lambda: queued.count(Lane.INTERACTIVE) == 2)
        fake.gate.set()
        for answer in (held, bulk, explanation, question):
            assert answer.result(60).status_code == 200
    first = {lane: order.index(lane) for lane in Lane}
    last = {lane: len(order) - 1 - order[::-1].index(lane) for lane in Lane}
    assert last[Lane.INTERACTIVE] < first[Lane.EXPLANATION] < first[Lane.BULK] < last[Lane.EXPLANATION]


def test_the_deadline_ends_an_explanation_in_words(adapter, trained):
    reader = adapter_reader(adapter, DIGEST)
    with serving(lambda _: reader, lambda _: reader) as server:
        object.__setattr__(server.service, "explanations", Explanations(seconds=1e-6))
        answer = httpx.post(
            f"{server.url}/explain", json=asked(trained.texts[:2]), trust_env=False, timeout=60
        )
    assert [result["error"][:14] for result in answer.json()["results"]] == ["it took longer"] * 2


def test_who_goes_away_ends_it_and_too_many_are_refused(client, server, fake, trained):
    fake.gate = threading.Event()
    queue = server.service.queue
    body = orjson.dumps(asked(trained.texts[:1]))
    head = f"POST /explain HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(client.post, "/classify", json={"adapter": OTHER, "texts": ["x"]})
        assert fake.started.wait(20)
        sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_WAITING)]
        for connection in sockets:
            connection.sendall(head + body)
        until(lambda: server.service.explanations.waiting == MOST_WAITING)
        refused = httpx.post(f"{server.url}/explain", json=asked(["sorry"]), trust_env=False, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (503, "queue-full")
        assert int(refused.headers["retry-after"]) >= 1
        for connection in sockets:
            connection.close()
        until(lambda: server.service.explanations.waiting == 1)  # what waited has gone, one piece is queued
        fake.gate.set()
        assert held.result(60).status_code == 200
    until(lambda: server.service.explanations.waiting == 0 and queue.queued_tokens == 0)
    assert client.post("/explain", json=asked(["sorry"])).status_code == 200


def test_a_stopped_engine_is_told(client, server):
    server.service.engine.stop()
    answer = client.post("/explain", json=asked(["sorry"]))
    assert (answer.status_code, answer.json()["code"]) == (503, "engine-stopped")


def test_an_error_in_a_piece_reaches_who_asked_and_harms_nobody(client, adapter, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no gradients today")

    monkeypatch.setattr("models.text.explain_gradients._ends", broken)
    with capture_logs() as logs:
        assert client.post("/explain", json=asked(["sorry"])).status_code == 500
    assert [entry["error"] for entry in logs] == ["RuntimeError"]
    monkeypatch.undo()
    assert client.post("/explain", json=asked(["sorry"])).status_code == 200
    assert np.isfinite(adapter.predict(["sorry"])).all()
